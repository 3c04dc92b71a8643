//! The committed inputs, each a line of hexadecimal digits in its target's file. They are part of the binary, so that tests
//! have them wherever they run.

/// The inputs of a target, each with its file and line.
///
/// # Panics
///
/// If there is no such target.
#[must_use]
pub fn of(target: &str) -> Vec<(String, Vec<u8>)> {
    let text = match target {
        "head" => include_str!("../corpus/head.hex"),
        "token" => include_str!("../corpus/token.hex"),
        "flow" => include_str!("../corpus/flow.hex"),
        _ => panic!("there is no target {target:?}"),
    };
    (1..).zip(text.lines()).map(|(number, line)| (format!("{target}.hex:{number}"), bytes(line))).collect()
}

fn bytes(line: &str) -> Vec<u8> {
    let byte = |at| line.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    (0..line.len()).step_by(2).map(|at| byte(at).unwrap_or_else(|| panic!("not hexadecimal: {line}"))).collect()
}
