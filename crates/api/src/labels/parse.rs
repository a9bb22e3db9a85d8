//! The text syntax of label selectors.

use super::{Operator, Requirement, joined};
use crate::field::{Error, Json, Path, invalid};
use crate::names;

/// A text that is no label selector; the wording is upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

/// A lexical element. `in` and `notin` are identifiers where a key or value is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    End,
    Open,
    Close,
    Comma,
    Not,
    Binary(Operator, &'a str),
    Word(&'a str),
}

impl<'a> Token<'a> {
    /// The element as error messages name it.
    fn literal(self) -> &'a str {
        match self {
            Self::End => "",
            Self::Open => "(",
            Self::Close => ")",
            Self::Comma => ",",
            Self::Not => "!",
            Self::Binary(_, text) | Self::Word(text) => text,
        }
    }

    /// The element where a key or a value is expected.
    fn as_word(self) -> Option<&'a str> {
        match self {
            Self::Word(text) | Self::Binary(Operator::In | Operator::NotIn, text) => Some(text),
            _ => None,
        }
    }
}

/// Reads elements one after the other, with one element of lookahead.
struct Parser<'a> {
    rest: &'a str,
    next: Token<'a>,
}

const BINARY_OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, ParseError> {
    let mut parser = Parser { rest: text, next: Token::End };
    parser.advance();
    let mut requirements = parser.requirements().map_err(ParseError)?;
    requirements.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(requirements)
}

impl<'a> Parser<'a> {
    /// Takes the element at hand and reads the one after it.
    fn advance(&mut self) -> Token<'a> {
        let taken = self.next;
        let (next, rest) = scan(self.rest);
        (self.next, self.rest) = (next, rest);
        taken
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            if self.next == Token::End {
                return Ok(requirements);
            }
            if self.next.as_word().is_none() && self.next != Token::Not {
                return Err(format!("found '{}', expected: !, identifier, or 'end of string'", self.next.literal()));
            }
            let requirement = self.requirement().map_err(|error| format!("unable to parse requirement: {error}"))?;
            requirements.push(requirement);
            match self.advance() {
                Token::End => return Ok(requirements),
                Token::Comma if self.next.as_word().is_some() || self.next == Token::Not => {}
                Token::Comma => {
                    return Err(format!("found '{}', expected: identifier after ','", self.next.literal()));
                }
                other => return Err(format!("found '{}', expected: ',' or 'end of string'", other.literal())),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let absent = self.next == Token::Not;
        if absent {
            self.advance();
        }
        let token = self.advance();
        let key = token.as_word().ok_or_else(|| format!("found '{}', expected: identifier", token.literal()))?;
        check_key(key, &Path::ROOT).map_err(|error| error.message_at("<nil>"))?;
        let key = key.to_owned();
        if absent {
            return Ok(Requirement { key, operator: Operator::DoesNotExist, values: Vec::new() });
        }
        if matches!(self.next, Token::End | Token::Comma) {
            return Ok(Requirement { key, operator: Operator::Exists, values: Vec::new() });
        }
        let operator = match self.advance() {
            Token::Binary(operator, _) => operator,
            other => return Err(format!("found '{}', expected: {BINARY_OPERATORS}", other.literal())),
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        Requirement::new(key, operator, values).map_err(|error| error.0)
    }

    fn exact_value(&mut self) -> Result<String, String> {
        if matches!(self.next, Token::End | Token::Comma) {
            return Ok(String::new());
        }
        let token = self.advance();
        match token.as_word() {
            Some(value) => Ok(value.to_owned()),
            None => Err(format!("found '{}', expected: identifier", token.literal())),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.advance() {
            Token::Open => {}
            other => return Err(format!("found '{}' expected: '('", other.literal())),
        }
        if self.next == Token::Close {
            self.advance();
            return Ok(vec![String::new()]);
        }
        if self.next.as_word().is_none() && self.next != Token::Comma {
            return Err(format!("found '{}', expected: ',', ')' or identifier", self.next.literal()));
        }
        let mut values = self.identifiers()?;
        self.advance();
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    /// Identifiers up to the closing parenthesis, which is left; between commas they may be empty.
    fn identifiers(&mut self) -> Result<Vec<String>, String> {
        let mut values = Vec::new();
        loop {
            let token = self.advance();
            if let Some(value) = token.as_word() {
                values.push(value.to_owned());
                match self.next {
                    Token::Comma => {}
                    Token::Close => return Ok(values),
                    other => return Err(format!("found '{}', expected: ',' or ')'", other.literal())),
                }
                continue;
            }
            if token != Token::Comma {
                return Err(format!("found '{}', expected: ',', or identifier", token.literal()));
            }
            if values.is_empty() {
                values.push(String::new());
            }
            if self.next == Token::Close {
                values.push(String::new());
                return Ok(values);
            }
            if self.next == Token::Comma {
                values.push(String::new());
            }
        }
    }
}

/// The first element of a text, and what follows it.
fn scan(text: &str) -> (Token<'_>, &str) {
    let text = text.trim_start_matches([' ', '\t', '\r', '\n']);
    if text.is_empty() || text.starts_with('\0') {
        return (Token::End, "");
    }
    let is_symbol = |character: char| "=!(),><".contains(character);
    if !text.starts_with(is_symbol) {
        let ends = |character: char| is_symbol(character) || " \t\r\n\0".contains(character);
        let (word, rest) = text.split_at(text.find(ends).unwrap_or(text.len()));
        let token = match word {
            "in" => Token::Binary(Operator::In, word),
            "notin" => Token::Binary(Operator::NotIn, word),
            word => Token::Word(word),
        };
        return (token, rest);
    }
    let symbols = [
        ("==", Token::Binary(Operator::DoubleEquals, "==")),
        ("=", Token::Binary(Operator::Equals, "=")),
        ("!=", Token::Binary(Operator::NotEquals, "!=")),
        ("!", Token::Not),
        ("(", Token::Open),
        (")", Token::Close),
        (",", Token::Comma),
        (">", Token::Binary(Operator::GreaterThan, ">")),
        ("<", Token::Binary(Operator::LessThan, "<")),
    ];
    let found = symbols.into_iter().find_map(|(symbol, token)| Some((token, text.strip_prefix(symbol)?)));
    found.expect("every symbol is in the table")
}

/// Checks a requirement's key and values, and joins what is wrong as upstream does.
pub(super) fn check(key: &str, operator: Operator, values: &[String]) -> Result<(), ParseError> {
    let mut errors = Vec::new();
    errors.extend(check_key(key, &Path::new("key")).err());
    let path = Path::new("values");
    let misfit = match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            Some("for 'in', 'notin' operators, values set can't be empty")
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
            Some("exact-match compatibility requires one single value")
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            Some("values set must be empty for exists and does not exist")
        }
        Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
            Some("for 'Gt', 'Lt' operators, exactly one value is required")
        }
        _ => None,
    };
    errors.extend(misfit.map(|text| invalid(&path, Json(&values), text)));
    for (position, value) in values.iter().enumerate() {
        let path = path.index(position);
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) && value.parse::<i64>().is_err() {
            errors.push(invalid(&path, value, "for 'Gt', 'Lt' operators, the value must be an integer"));
        }
    }
    for (position, value) in values.iter().enumerate() {
        let problems = names::label_value(value);
        if !problems.is_empty() {
            errors.push(invalid(&path.index(position).key(key), value, joined(&problems)));
        }
    }
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(ParseError(one.to_string())),
        many => {
            let texts: Vec<String> = many.iter().map(ToString::to_string).collect();
            Err(ParseError(format!("[{}]", texts.join(", "))))
        }
    }
}

fn check_key(key: &str, path: &Path<'_>) -> Result<(), Error> {
    let problems = names::qualified_name(key);
    if problems.is_empty() { Ok(()) } else { Err(invalid(path, key, joined(&problems))) }
}

impl Error {
    /// The problem's text under another path, for values that stand in no object.
    fn message_at(&self, path: &str) -> String {
        format!("{path}: {}", self.message)
    }
}
