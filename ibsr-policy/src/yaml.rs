// SPDX-License-Identifier: MIT OR Apache-2.0
//! YAML nodes with their places. Numbers are read as the text that they stand for, so that a
//! port, a user and a name are all text until the field says what it wants.

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};

use crate::error::{PolicyError, Source};

/// A node and the text it is from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'a> {
    source: Source<'a>,
    yaml: &'a MarkedYaml<'a>,
}

/// Reads one document and hands it to `then`.
pub(crate) fn with_document<T>(
    source: Source<'_>,
    then: impl FnOnce(Node<'_>) -> Result<T, PolicyError>,
) -> Result<T, PolicyError> {
    let documents = MarkedYaml::load_from_str(source.text).map_err(|error| {
        let at = error.marker();
        source.error((at.line(), at.col() + 1), error.info())
    })?;
    match &documents[..] {
        [yaml] => then(Node { source, yaml }),
        [] => Err(source.error((1, 1), "the policy is empty")),
        [_, second, ..] => {
            Err(source.error((second.span.start.line(), 1), "a policy is one document"))
        }
    }
}

impl<'a> Node<'a> {
    /// Line and column, from 1.
    pub(crate) fn place(self) -> (usize, usize) {
        (self.yaml.span.start.line(), self.yaml.span.start.col() + 1)
    }

    /// An error about this node.
    pub(crate) fn error(self, message: impl Into<String>) -> PolicyError {
        self.source.error(self.place(), message)
    }

    const fn child(self, yaml: &'a MarkedYaml<'a>) -> Self {
        Self { source: self.source, yaml }
    }

    /// A scalar as text.
    pub(crate) fn text(self) -> Result<String, PolicyError> {
        match &self.yaml.data {
            YamlData::Value(Scalar::String(text)) => Ok(text.clone().into_owned()),
            YamlData::Value(Scalar::Integer(number)) => Ok(number.to_string()),
            YamlData::Value(_) => Err(self.error("expected text; put it in quotes")),
            _ => Err(self.error("expected one value")),
        }
    }

    /// A scalar that is true or false.
    pub(crate) fn truth(self) -> Result<bool, PolicyError> {
        match &self.yaml.data {
            YamlData::Value(Scalar::Boolean(truth)) => Ok(*truth),
            _ => Err(self.error("expected `true` or `false`")),
        }
    }

    /// The fields of a mapping. Every key must be in `known`.
    pub(crate) fn fields(self, known: &[&str]) -> Result<Vec<(String, Self)>, PolicyError> {
        let YamlData::Mapping(mapping) = &self.yaml.data else {
            return Err(self.error(format!("expected fields: {}", known.join(", "))));
        };
        let mut fields: Vec<(String, Self)> = Vec::with_capacity(mapping.len());
        for (key, value) in mapping {
            let key = self.child(key);
            let name = key.text()?;
            if !known.contains(&name.as_str()) {
                let message = format!("`{name}` is no field here; there are {}", known.join(", "));
                return Err(key.error(message));
            }
            if fields.iter().any(|(there, _)| *there == name) {
                return Err(key.error(format!("`{name}` is here twice")));
            }
            fields.push((name, self.child(value)));
        }
        Ok(fields)
    }

    /// Whether it is a mapping.
    pub(crate) const fn is_mapping(self) -> bool {
        matches!(self.yaml.data, YamlData::Mapping(_))
    }

    /// The items of a sequence; a single value is a sequence of one; nothing is none.
    pub(crate) fn items(self) -> Vec<Self> {
        match &self.yaml.data {
            YamlData::Sequence(items) => items.iter().map(|item| self.child(item)).collect(),
            YamlData::Value(Scalar::Null) => Vec::new(),
            _ => vec![self],
        }
    }

    /// Each item read by `read`.
    pub(crate) fn each<T>(
        self,
        mut read: impl FnMut(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, PolicyError> {
        self.items()
            .into_iter()
            .map(|item| read(&item.text()?).map_err(|message| item.error(message)))
            .collect()
    }
}
