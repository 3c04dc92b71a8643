//! What imdsd needs of the host, found out by trying it. A kernel's version says little: distributions take features
//! back to older kernels, leave them out of newer ones, and containers forbid what the kernel could do.

mod attaching;
mod bpf;
mod file_system;
mod preemption;
mod scratch;

use std::fmt;
use std::io;

use super::attach::Attach;

/// Something that imdsd needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    name: &'static str,
    state: State,
}

/// Whether the host has it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// It has, in this form.
    There(&'static str),
    /// It hasn't: why, and the way out.
    Lacking(String),
    /// Something that this needs is lacking.
    NotTried,
}

impl Feature {
    const fn new(name: &'static str, state: State) -> Self {
        Self { name, state }
    }

    /// One that is there if the attempt succeeded.
    fn tried(name: &'static str, attempt: io::Result<()>, needs: &str) -> Self {
        let state = match attempt {
            Ok(()) => State::There("yes"),
            Err(error) => State::Lacking(reason(&error, needs)),
        };
        Self { name, state }
    }

    fn is_there(&self) -> bool {
        matches!(self.state, State::There(_))
    }
}

/// Why an attempt failed, and the way out: rights where those are missing, else what the kernel must be built with.
fn reason(error: &io::Error, needs: &str) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "{error}: imdsd needs CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN, which root has outside of containers"
        ),
        _ => format!("{error}: {needs}"),
    }
}

/// All that imdsd needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features(Vec<Feature>);

impl Features {
    /// Tries each of them, and changes nothing that anybody else sees: what has to be made is made in a network
    /// namespace of its own that is gone afterwards. Of the ways of attaching, what `attach` asks for is needed.
    #[must_use]
    pub fn probe(attach: Attach) -> Self {
        let mut features = bpf::probe();
        let bpf = features.first().is_some_and(Feature::is_there);
        features.push(preemption::probe());
        features.extend(scratch::probe(bpf, attach));
        features.push(file_system::probe());
        Self(features)
    }

    /// Fails unless the host has them all.
    ///
    /// # Errors
    ///
    /// [`MissingFeatures`] names each that is lacking.
    pub fn require(&self) -> Result<(), MissingFeatures> {
        let lacking = self.0.iter().filter_map(|feature| match &feature.state {
            State::Lacking(reason) => Some(format!("{}: {reason}", feature.name)),
            State::There(_) | State::NotTried => None,
        });
        let lacking: Vec<_> = lacking.collect();
        if lacking.is_empty() { Ok(()) } else { Err(MissingFeatures(lacking)) }
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|feature| feature.name.len()).max().unwrap_or_default();
        for Feature { name, state } in &self.0 {
            let state = match state {
                State::There(form) => (*form).to_owned(),
                State::Lacking(reason) => format!("no: {reason}"),
                State::NotTried => "not tried".to_owned(),
            };
            writeln!(f, "{name:<width$}  {state}")?;
        }
        Ok(())
    }
}

/// The host lacks something.
#[derive(Debug, thiserror::Error)]
#[error("this host lacks what imdsd needs, and nothing was changed: {}; `imdsd check` shows everything that it needs", .0.join("; "))]
pub struct MissingFeatures(Vec<String>);

#[cfg(test)]
mod tests {
    use super::*;

    fn features() -> Features {
        let refused = Feature::tried("bpf", Err(io::ErrorKind::PermissionDenied.into()), "CONFIG_BPF_SYSCALL");
        let absent = Feature::tried("veth", Err(io::Error::other("not supported")), "CONFIG_VETH is needed");
        Features(vec![refused, Feature::new("helpers", State::NotTried), absent, Feature::tried("IPv6", Ok(()), "")])
    }

    #[test]
    fn the_error_names_each_lacking_feature_with_its_way_out() {
        let error = features().require().expect_err("two are lacking").to_string();
        assert!(error.contains("bpf: permission denied: imdsd needs CAP_BPF"), "{error}");
        assert!(error.contains("; veth: not supported: CONFIG_VETH is needed; "), "{error}");
        assert!(!error.contains("helpers") && !error.contains("IPv6"), "{error}");
    }

    #[test]
    fn a_host_with_all_of_them_is_no_error() {
        assert!(Features(vec![Feature::tried("IPv6", Ok(()), "")]).require().is_ok());
    }

    #[test]
    fn the_table_has_a_line_for_each() {
        let table = features().to_string();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(
            lines[1..],
            ["helpers  not tried", "veth     no: not supported: CONFIG_VETH is needed", "IPv6     yes"]
        );
        assert!(lines[0].starts_with("bpf      no: permission denied"), "{table}");
    }
}
