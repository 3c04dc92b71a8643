//! A table of the config from one definition: its type, its defaults, and its text with comments.

use serde::Serialize;

/// Width at which comments of the printed file are wrapped, in characters.
const WIDTH: usize = 100;

/// Defines a table: `Name { /// comment  key: Type = default, … } tables { /// comment  key: Table, … } lists { ///
/// comment  key: List of Entry, … }`, where a list is of tables that are none until they are given.
macro_rules! table {
    (
        $(#[doc = $about:literal])*
        $name:ident {
            $($(#[doc = $doc:literal])* $key:ident: $type:ty = $default:expr,)*
        }
        $(tables {
            $($(#[doc = $table_doc:literal])* $table:ident: $table_type:ty,)*
        })?
        $(lists {
            $($(#[doc = $list_doc:literal])* $list:ident: $list_type:ident of $entry_type:ty,)*
        })?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub struct $name {
            $($(#[doc = $doc])* pub $key: $type,)*
            $($($(#[doc = $table_doc])* pub $table: $table_type,)*)?
            $($($(#[doc = $list_doc])* pub $list: $list_type,)*)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $($key: $default,)*
                    $($($table: <$table_type>::default(),)*)?
                    $($($list: <$list_type>::default(),)*)?
                }
            }
        }

        impl $name {
            /// Appends the table as TOML, each key under its comment.
            pub(in $crate::config) fn print(&self, file: &mut String) {
                $($crate::config::table::print_key(file, &[$($doc),*], stringify!($key), &self.$key);)*
                $($(
                    $crate::config::table::print_header(file, &[$($table_doc),*], stringify!($table));
                    self.$table.print(file);
                )*)?
                $($(
                    $crate::config::table::print_list(file, &[$($list_doc),*], stringify!($list), |entry| {
                        <$entry_type>::default().print(entry);
                    });
                )*)?
            }
        }
    };
}
pub(super) use table;

/// Appends one key.
pub(super) fn print_key(file: &mut String, comment: &[&str], key: &str, value: &impl Serialize) {
    let value = toml::Value::try_from(value).map_or_else(|_| String::new(), |value| value.to_string());
    file.push('\n');
    print_comment(file, comment);
    file.push_str(&format!("{} = {value}\n", key.replace('_', "-")));
}

/// Appends the header of a table.
pub(super) fn print_header(file: &mut String, comment: &[&str], key: &str) {
    file.push('\n');
    print_comment(file, comment);
    file.push_str(&format!("[{}]\n", key.replace('_', "-")));
}

/// Appends an entry of a list as a comment, since there is none by default.
pub(super) fn print_list(file: &mut String, comment: &[&str], key: &str, print: impl FnOnce(&mut String)) {
    file.push('\n');
    print_comment(file, comment);
    let mut entry = format!("[[{}]]\n", key.replace('_', "-"));
    print(&mut entry);
    for line in entry.lines() {
        file.push_str(if line.is_empty() { "#" } else { "#   " });
        file.push_str(line);
        file.push('\n');
    }
}

fn print_comment(file: &mut String, lines: &[&str]) {
    let mut width = 0;
    for word in lines.iter().flat_map(|line| line.split_whitespace()) {
        if width > 0 && width + 1 + word.len() <= WIDTH {
            file.push(' ');
            width += 1;
        } else {
            file.push_str(if width == 0 { "# " } else { "\n# " });
            width = 2;
        }
        file.push_str(word);
        width += word.len();
    }
    file.push('\n');
}
