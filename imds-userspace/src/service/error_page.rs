//! The pages that EC2 used to send with errors (`error-bodies = "xhtml"`).

/// The page of a status line's number and reason phrase, `404 Not Found`.
pub(super) fn page(status: &str) -> String {
    let title = status.replacen(' ', " - ", 1);
    format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n\
         <!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n\
         \t\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n\
         <html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n \
         <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n </body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_401_is_as_long_as_the_captured_one() {
        let page = page("401 Unauthorized");
        assert!(page.contains("<title>401 - Unauthorized</title>") && page.contains("<h1>401 - Unauthorized</h1>"));
        assert_eq!(page.len(), 343);
    }
}
