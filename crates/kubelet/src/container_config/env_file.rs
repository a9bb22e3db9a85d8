//! Files that variables come from (`fileKeyRef`): a small part of what a POSIX shell reads, every value in single quotes.
//!
//! ```text
//! # a comment
//! ADDRESS='db.example'   # another one
//! MOTD='two
//! lines'
//! ```

/// Why a file is none of variables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid environment variable format at line {line}: {problem}")]
pub struct EnvFileError {
    /// Counted from one.
    pub line: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// The value of a key, the first time it stands there. What follows is not looked at.
///
/// # Errors
/// [`EnvFileError`] when something before it is no variable.
pub fn value_of(text: &str, key: &str) -> Result<Option<String>, EnvFileError> {
    let mut rest = text;
    let mut line = 0;
    while !rest.is_empty() {
        line += 1;
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let content = first.trim_start_matches([' ', '\t']);
        if content.trim().is_empty() || content.starts_with('#') {
            rest = after;
            continue;
        }
        let failed = |problem| EnvFileError { line, problem };
        let (name, _) = content.split_once('=').ok_or(failed("no '=' found"))?;
        let quoted = &rest[first.len() - content.len() + name.len() + 1..];
        if name.is_empty() {
            return Err(failed("the name is missing"));
        }
        if name.contains([' ', '\t']) {
            return Err(failed("whitespace before '=' is not allowed"));
        }
        let quoted = quoted.strip_prefix('\'').ok_or(failed("value must be enclosed in single quotes"))?;
        let (value, closed) = quoted.split_once('\'').ok_or(failed("unclosed single quote"))?;
        let (remark, after) = closed.split_once('\n').unwrap_or((closed, ""));
        let is_comment = remark.starts_with([' ', '\t']) && remark.trim_start().starts_with('#');
        if !remark.trim().is_empty() && !is_comment {
            return Err(failed("unexpected content after closing quote"));
        }
        if name == key {
            return Ok(Some(value.to_owned()));
        }
        line += value.matches('\n').count();
        rest = after;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_stands_between_the_quotes() {
        for (text, key, expected) in [
            ("  A='1'\n\t\tB='2'\n", "B", Some("2")),
            ("# one\n\n  # two\n \t \nA='1'", "A", Some("1")),
            ("A='1' # of A\nB='2'\n", "B", Some("2")),
            ("A='1'\n", "B", None),
            ("", "A", None),
            ("A=''\n", "A", Some("")),
            ("A='  x  '\t\nB='2'", "A", Some("  x  ")),
            ("A='a=b#c \"d\" $E ${F} \\n'\n", "A", Some("a=b#c \"d\" $E ${F} \\n")),
            ("A='one\n  two\n\nfour'\nB='2'\n", "A", Some("one\n  two\n\nfour")),
            ("A='one\n  two\n\nfour'\nB='2'\n", "B", Some("2")),
            ("A='1'\nA='2'\n", "A", Some("1")),
            ("A='1'\nno variable\n", "A", Some("1")),
        ] {
            assert_eq!(value_of(text, key), Ok(expected.map(str::to_owned)), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_variable_is_told_by_its_line() {
        for (text, line, problem) in [
            ("A='1'\nnothing\nB='2'\n", 2, "no '=' found"),
            ("='1'\n", 1, "the name is missing"),
            ("A = '1'\n", 1, "whitespace before '=' is not allowed"),
            ("A='x\ny'\nB ='2'\n", 3, "whitespace before '=' is not allowed"),
            ("A=   '1'\n", 1, "value must be enclosed in single quotes"),
            ("A=1\n", 1, "value must be enclosed in single quotes"),
            ("A=\"1\"\n", 1, "value must be enclosed in single quotes"),
            ("A='1''2'\n", 1, "unexpected content after closing quote"),
            ("A='1'#2\n", 1, "unexpected content after closing quote"),
            ("A='1'\nB='2\nC='3'\n", 2, "unexpected content after closing quote"),
            ("A='1'\nB='2", 2, "unclosed single quote"),
        ] {
            assert_eq!(value_of(text, "Z"), Err(EnvFileError { line, problem }), "{text:?}");
        }
    }
}
