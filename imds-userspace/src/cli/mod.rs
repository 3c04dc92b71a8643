//! The command line `imdsctl`: what was typed ([`Arguments`]) becomes what is meant (an invocation, its files read and
//! its values checked), is asked of the daemon, and what the daemon says becomes a table or JSON.

mod apply;
mod arguments;
mod credentials;
mod document;
mod error;
mod help;
mod identity;
mod input;
mod invocation;
mod metadata_options;
mod output;
mod pages;
mod tags;
mod trace;
mod user_data;
mod watch;

use std::io::{self, IsTerminal, Read, Write};
use std::thread;

pub use arguments::Arguments;

use crate::control::client::{Client, Limits};
use crate::control::protocol::{Command, Payload};
use crate::metadata::document::SCHEMA;
use error::Error;
use invocation::{Action, Invocation, View};
use output::{Format, Printer, printable};
use watch::Watch;

/// What the command line reads from and writes to.
struct Streams<'a> {
    /// Standard input, for files named `-`.
    input: &'a mut dyn Read,
    /// Standard output.
    output: &'a mut dyn Write,
    /// Standard error.
    errors: &'a mut dyn Write,
    /// Whether standard output is a terminal.
    terminal: bool,
    /// Whether standard output may have colours.
    colour: bool,
}

/// Does what was typed, on the process's own streams; returns its exit code.
pub fn run(arguments: Arguments) -> u8 {
    let terminal = io::stdout().is_terminal();
    // https://no-color.org: set and not empty means no colours.
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    run_on(
        arguments,
        &mut Streams {
            input: &mut io::stdin().lock(),
            output: &mut io::stdout().lock(),
            errors: &mut io::stderr().lock(),
            terminal,
            colour: terminal && !no_colour,
        },
    )
}

/// Does what was typed; returns the exit code. A reader of the output who has gone away is no failure.
fn run_on(arguments: Arguments, streams: &mut Streams<'_>) -> u8 {
    match execute(arguments, streams) {
        Ok(()) => error::SUCCESS,
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => error::SUCCESS,
        Err(error) => {
            complain(streams.errors, &error.to_string());
            error.exit_code()
        }
    }
}

/// A line on standard error. That it can't be written has nowhere to be said.
fn complain(errors: &mut dyn Write, message: &str) {
    let _ = writeln!(errors, "imdsctl: {}", printable(message));
}

fn execute(arguments: Arguments, streams: &mut Streams<'_>) -> Result<(), Error> {
    let invocation = Invocation::new(arguments, streams.input)?;
    for warning in &invocation.warnings {
        complain(streams.errors, &format!("warning: {warning}"));
    }
    let client = Client::new(&invocation.socket, Limits::default());
    let printer = Printer { format: invocation.format, colour: streams.colour };
    match invocation.action {
        Action::Ask { command, view } => {
            let payload = client.ask(command)?;
            write(streams.output, printer.render(&view, payload)?.as_bytes())
        }
        Action::Apply { instances, check } => {
            let apply::Outcome { applied, error } = apply::apply(&client, &instances, check);
            // Nothing is said of instances, if nothing was done.
            if error.is_none() || !applied.is_empty() {
                write(streams.output, printer.render(&View::Applied { check }, Payload::Applied(applied))?.as_bytes())?;
            }
            error.map_or(Ok(()), Err)
        }
        Action::Schema => write(streams.output, SCHEMA.as_bytes()),
        Action::Watch { instance_id } => {
            let watch = Watch { clear: streams.terminal && printer.format == Format::Table };
            let document = || {
                let payload = client.ask(Command::Stats { instance_id: instance_id.clone() })?;
                printer.render(&View::StatsOverTime, payload)
            };
            watch.repeat(document, streams.output, || thread::sleep(watch::INTERVAL))
        }
        Action::Trace(trace) => trace.run(|command| Ok(client.ask(command)?), printer, streams.output),
        Action::Verify(mut verification) => {
            let certificates = verification.certificates(|| match client.ask(Command::IdentityCertificates)? {
                Payload::Certificates(certificates) => Ok(certificates),
                _ => Err(Error::Payload),
            })?;
            let good = verification.check(&certificates)?;
            write(streams.output, printer.verified(&good)?.as_bytes())
        }
        Action::Completions(shell) => write(streams.output, &pages::completions(shell)),
        Action::Man(None) => write(streams.output, &pages::manual()?),
        Action::Man(Some(directory)) => {
            let written = pages::write_manual(&directory)?;
            let lines: String = written.iter().map(|path| format!("{}\n", path.display())).collect();
            write(streams.output, lines.as_bytes())
        }
    }
}

fn write(output: &mut dyn Write, bytes: &[u8]) -> Result<(), Error> {
    output.write_all(bytes).and_then(|()| output.flush()).map_err(Error::Output)
}

#[cfg(test)]
mod tests;
