//! Field selectors: `metadata.name=a,status.phase!=Running`.

#[cfg(test)]
mod tests;

/// A parsed field selector: all requirements hold. The default selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

/// One requirement of a field selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The field's path, such as `status.phase`.
    pub field: String,
    /// Whether the value must differ.
    pub negated: bool,
    /// The value compared with.
    pub value: String,
}

/// A text that is no field selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid selector: '{selector}'; can't understand '{part}'")]
pub struct ParseError {
    selector: String,
    part: String,
}

impl FromIterator<Requirement> for Selector {
    fn from_iter<I: IntoIterator<Item = Requirement>>(requirements: I) -> Self {
        Self { requirements: requirements.into_iter().collect() }
    }
}

impl Selector {
    /// Parses `a=b,c==d,e!=f`; the empty text selects everything.
    ///
    /// # Errors
    /// When a part is no comparison.
    pub fn parse(selector: &str) -> Result<Self, ParseError> {
        let mut parts: Vec<&str> = selector.split(',').filter(|part| !part.is_empty()).collect();
        parts.sort_unstable();
        let understand = |part: &str| {
            let error = || ParseError { selector: selector.to_owned(), part: part.to_owned() };
            comparison(part).ok_or_else(error)
        };
        Ok(Self { requirements: parts.into_iter().map(understand).collect::<Result<_, _>>()? })
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Its requirements, for instance to refuse those on unknown fields.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether an object is selected; `field` looks up the value at a path, empty when it is not set.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> &'a str) -> bool {
        self.requirements
            .iter()
            .all(|requirement| (field(&requirement.field) == requirement.value) != requirement.negated)
    }

    /// The one value `field` must have, if the selector pins it.
    pub fn exact(&self, field: &str) -> Option<&str> {
        let pins = |requirement: &&Requirement| !requirement.negated && requirement.field == field;
        self.requirements.iter().find(pins).map(|requirement| requirement.value.as_str())
    }
}

/// Splits at the operator, which must stand exactly once.
fn comparison(part: &str) -> Option<Requirement> {
    [("!=", true), ("==", false), ("=", false)].into_iter().find_map(|(operator, negated)| {
        let (field, value) = part.split_once(operator)?;
        let once = !value.contains(operator);
        once.then(|| Requirement { field: field.to_owned(), negated, value: value.to_owned() })
    })
}

impl std::fmt::Display for Selector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, requirement) in self.requirements.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            let operator = if requirement.negated { "!=" } else { "=" };
            write!(formatter, "{comma}{}{operator}{}", requirement.field, requirement.value)?;
        }
        Ok(())
    }
}
