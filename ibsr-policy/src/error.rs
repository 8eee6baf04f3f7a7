// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a policy, and where.

use std::fmt;

/// An error with the place it is about. As text: the file, line and column, what is wrong, and
/// the line with a caret below it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PolicyError {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The line itself.
    pub text: String,
}

/// A file's name and text, to point into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'text> {
    pub(crate) file: &'text str,
    pub(crate) text: &'text str,
}

impl Source<'_> {
    /// `line` and `column` begin at 1.
    pub(crate) fn error(
        &self,
        (line, column): (usize, usize),
        message: impl Into<String>,
    ) -> PolicyError {
        PolicyError {
            file: self.file.to_owned(),
            line,
            column,
            message: message.into(),
            text: self.text.lines().nth(line.saturating_sub(1)).unwrap_or_default().to_owned(),
        }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, text } = self;
        let gutter = " ".repeat(line.to_string().len());
        // A tab stays a tab, so that the caret stands where the terminal puts the text.
        let indent: String = text
            .chars()
            .take(column.saturating_sub(1))
            .map(|char| if char == '\t' { '\t' } else { ' ' })
            .collect();
        writeln!(f, "{file}:{line}:{column}: {message}")?;
        write!(f, "{gutter} |\n{line} | {text}\n{gutter} | {indent}^")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_the_character() {
        let source = Source { file: "p.yaml", text: "a:\n  ports: x\n" };
        assert_eq!(
            source.error((2, 10), "`x` is no port").to_string(),
            "p.yaml:2:10: `x` is no port\n  |\n2 |   ports: x\n  |          ^"
        );
    }
}
