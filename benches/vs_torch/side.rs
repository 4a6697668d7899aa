//! One of the two programs, seen from the other end of its pipes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Result;

/// A program that has loaded its weights and waits for requests, lines on its standard input, which it
/// answers with lines of JSON. It is ended when this value is dropped.
pub struct Side<R> {
    name: &'static str,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// From starting the process until it was ready.
    pub start_seconds: f64,
    /// Its report when ready.
    pub ready: R,
}

impl<R: DeserializeOwned> Side<R> {
    /// Starts the program and waits until it has loaded.
    pub fn start(name: &'static str, mut command: Command) -> Result<Self> {
        let begin = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run {}: {error}", command.get_program().display()))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (requests, answers) = pipes.ok_or_else(|| format!("{name} has no pipes"))?;
        let mut answers = BufReader::new(answers);
        let ready = read(name, &mut answers, &mut child)?;
        Ok(Self { name, child, requests, answers, start_seconds: begin.elapsed().as_secs_f64(), ready })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The answer to a request.
    pub fn ask<A: DeserializeOwned>(&mut self, request: &str) -> Result<A> {
        writeln!(self.requests, "{request}")
            .map_err(|error| format!("{} no longer listens: {error}", self.name))?;
        read(self.name, &mut self.answers, &mut self.child)
    }
}

impl<R> Drop for Side<R> {
    fn drop(&mut self) {
        // It may be working on something that nobody needs; if it has ended already, killing it fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next line, parsed.
fn read<T: DeserializeOwned>(name: &str, answers: &mut impl BufRead, child: &mut Child) -> Result<T> {
    let mut line = String::new();
    if answers.read_line(&mut line)? == 0 {
        return Err(format!("{name} ended with {}; its own words are above", child.wait()?).into());
    }
    understand(name, &line)
}

/// A line as the expected type, or the error that it reports.
pub fn understand<T: DeserializeOwned>(name: &str, line: &str) -> Result<T> {
    let unreadable = |error| format!("cannot understand {name}: {error}: {line}");
    let value: Value = serde_json::from_str(line).map_err(unreadable)?;
    match value["error"].as_str() {
        Some(error) => Err(format!("{name}: {error}").into()),
        None => Ok(serde_json::from_value(value).map_err(unreadable)?),
    }
}
