//! Label selectors: kubectl's text syntax and the `LabelSelector` of objects, as one matcher.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::names;

mod parse;
#[cfg(test)]
mod tests;
mod validation;

pub use parse::ParseError;
pub use validation::{SelectorRules, validate_expression, validate_label_selector, validate_labels};

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// How a requirement compares a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `key=value`
    Equals,
    /// `key==value`
    DoubleEquals,
    /// `key!=value`: also where the label is missing.
    NotEquals,
    /// `key in (a,b)`
    In,
    /// `key notin (a,b)`: also where the label is missing.
    NotIn,
    /// `key`
    Exists,
    /// `!key`
    DoesNotExist,
    /// `key>5`
    GreaterThan,
    /// `key<5`
    LessThan,
}

/// One requirement of a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

/// A label selector: everything (the default), nothing, or whatever meets all requirements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Selects no object.
    Nothing,
    /// Selects objects that meet all of these; with none, every object.
    All(Vec<Requirement>),
}

impl Default for Selector {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

/// Why a `LabelSelector` of an object is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The operator is unknown.
    #[error("\"{0}\" is not a valid label selector operator")]
    Operator(String),
    /// Keys or values do not fit.
    #[error(transparent)]
    Requirement(#[from] ParseError),
}

impl Selector {
    /// Parses `a=b,c!=d,e in (x,y),!f,g`; the empty text selects everything.
    ///
    /// # Errors
    /// With upstream's wording when the text is no selector.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::parse(text).map(Self::All)
    }

    /// The matcher of an object's selector. An absent selector selects nothing, an empty one everything.
    ///
    /// # Errors
    /// When an expression is malformed.
    pub fn from_label_selector(selector: Option<&LabelSelector>) -> Result<Self, ConvertError> {
        let Some(selector) = selector else { return Ok(Self::Nothing) };
        let mut requirements: Vec<Requirement> =
            selector.match_labels.iter().flatten().map(|(key, value)| Requirement::equals(key, value)).collect();
        for expression in selector.match_expressions.iter().flatten() {
            let operator = match expression.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(ConvertError::Operator(other.to_owned())),
            };
            let values = expression.values.clone().unwrap_or_default();
            requirements.push(Requirement::new(expression.key.clone(), operator, values)?);
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self::All(requirements))
    }

    /// Selects objects that carry all these labels.
    pub fn from_labels(labels: &Labels) -> Self {
        Self::All(labels.iter().map(|(key, value)| Requirement::equals(key, value)).collect())
    }

    /// Whether it selects everything.
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::All(requirements) if requirements.is_empty())
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: Option<&Labels>) -> bool {
        match self {
            Self::Nothing => false,
            Self::All(requirements) => requirements.iter().all(|requirement| requirement.matches(labels)),
        }
    }
}

impl Requirement {
    fn equals(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), operator: Operator::Equals, values: vec![value.to_owned()] }
    }

    /// A checked requirement.
    ///
    /// # Errors
    /// When the key is no label key, or the values do not fit the operator.
    pub fn new(key: String, operator: Operator, values: Vec<String>) -> Result<Self, ParseError> {
        parse::check(&key, operator, &values)?;
        Ok(Self { key, operator, values })
    }

    /// The label it is about.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How it compares.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// What it compares with.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether an object with these labels meets it.
    pub fn matches(&self, labels: Option<&Labels>) -> bool {
        let actual = labels.and_then(|labels| labels.get(&self.key));
        match (self.operator, actual) {
            (Operator::Exists, actual) => actual.is_some(),
            (Operator::DoesNotExist, actual) => actual.is_none(),
            (Operator::NotIn | Operator::NotEquals, None) => true,
            (_, None) => false,
            (Operator::NotIn | Operator::NotEquals, Some(actual)) => !self.values.contains(actual),
            (Operator::In | Operator::Equals | Operator::DoubleEquals, Some(actual)) => self.values.contains(actual),
            (Operator::GreaterThan, Some(actual)) => self.compare(actual, |actual, bound| actual > bound),
            (Operator::LessThan, Some(actual)) => self.compare(actual, |actual, bound| actual < bound),
        }
    }

    fn compare(&self, actual: &str, holds: impl Fn(i64, i64) -> bool) -> bool {
        let bound = self.values.first().and_then(|value| value.parse().ok());
        matches!((actual.parse(), bound), (Ok(actual), Some(bound)) if holds(actual, bound))
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::All(requirements) = self else { return Ok(()) };
        for (position, requirement) in requirements.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(formatter, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        values.sort_unstable();
        let (key, values) = (&self.key, values.join(","));
        match self.operator {
            Operator::Equals => write!(formatter, "{key}={values}"),
            Operator::DoubleEquals => write!(formatter, "{key}=={values}"),
            Operator::NotEquals => write!(formatter, "{key}!={values}"),
            Operator::In => write!(formatter, "{key} in ({values})"),
            Operator::NotIn => write!(formatter, "{key} notin ({values})"),
            Operator::Exists => formatter.write_str(key),
            Operator::DoesNotExist => write!(formatter, "!{key}"),
            Operator::GreaterThan => write!(formatter, "{key}>{values}"),
            Operator::LessThan => write!(formatter, "{key}<{values}"),
        }
    }
}

/// Problems of a label key and value, joined as selectors report them.
fn joined(problems: &names::Problems) -> String {
    problems.join("; ")
}
