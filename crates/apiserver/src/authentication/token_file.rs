//! `--token-auth-file`: tokens with their users, one per line: `token,user,uid,"group1,group2"`.

use std::collections::HashMap;
use std::fmt;

use tracing::warn;

use crate::identity::UserInfo;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenFileError {
    /// A line says too little.
    #[error("line {line}: must have at least 3 columns (token, user name, user uid), found {found}")]
    Columns {
        /// Which line.
        line: usize,
        /// How many it has.
        found: usize,
    },
    /// A quoted value does not end, or goes on after its end.
    #[error("line {line}: bare or unended quote")]
    Quote {
        /// Which line.
        line: usize,
    },
}

/// Tokens with their users. Has no content in `Debug`.
#[derive(Default)]
pub struct TokenFile(HashMap<String, UserInfo>);

impl fmt::Debug for TokenFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TokenFile({} tokens)", self.0.len())
    }
}

impl TokenFile {
    /// Reads the file's text.
    ///
    /// # Errors
    /// [`TokenFileError`] names the line.
    pub fn parse(text: &str) -> Result<Self, TokenFileError> {
        let mut users = HashMap::new();
        for (line, row) in text.lines().enumerate().map(|(line, row)| (line + 1, row)) {
            if row.trim().is_empty() {
                continue;
            }
            let columns = columns(row).ok_or(TokenFileError::Quote { line })?;
            let [token, name, uid, rest @ ..] = columns.as_slice() else {
                return Err(TokenFileError::Columns { line, found: columns.len() });
            };
            if token.is_empty() {
                warn!(line, "an empty token in the token file");
                continue;
            }
            let groups = rest.first().map(String::as_str).unwrap_or_default();
            let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty());
            let mut user = UserInfo::new(name, groups);
            user.uid.clone_from(uid);
            if users.insert(token.clone(), user).is_some() {
                warn!(line, "a token stands twice in the token file; the last one counts");
            }
        }
        Ok(Self(users))
    }

    /// The user of a token.
    pub fn user_of(&self, token: &str) -> Option<&UserInfo> {
        self.0.get(token)
    }
}

/// The values of a line of CSV; `None` when quotes are not in order.
fn columns(row: &str) -> Option<Vec<String>> {
    let mut columns = Vec::new();
    let mut rest = row;
    loop {
        let value = match rest.strip_prefix('"') {
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (value, after) = rest.split_at(end);
                rest = after;
                (!value.contains('"')).then(|| value.to_owned())?
            }
            Some(quoted) => {
                let (value, after) = quoted_value(quoted)?;
                rest = after;
                value
            }
        };
        columns.push(value);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.is_empty() => return Some(columns),
            None => return None,
        }
    }
}

/// Up to the closing quote, and what follows; two quotes stand for one.
fn quoted_value(mut rest: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    loop {
        let end = rest.find('"')?;
        value.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                value.push('"');
                rest = after;
            }
            None => return Some((value, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_users_with_groups() {
        let file = TokenFile::parse("t1,ann,1\nt2,\"bob \"\"b\"\"\",2,\"dev,ops\"\n\n,nobody,3\nt3,x,4,dev\n").unwrap();
        let shown = |token: &str| {
            file.user_of(token).map(|user| (user.name.as_str(), user.uid.as_str(), user.groups.join(" ")))
        };
        assert_eq!(shown("t1"), Some(("ann", "1", "system:authenticated".to_owned())));
        assert_eq!(shown("t2"), Some(("bob \"b\"", "2", "dev ops system:authenticated".to_owned())));
        assert_eq!(shown("t3"), Some(("x", "4", "dev system:authenticated".to_owned())));
        assert_eq!(shown(""), None);
        assert_eq!(shown("t"), None);
        assert_eq!(format!("{file:?}"), "TokenFile(3 tokens)");
    }

    #[test]
    fn bad_lines_are_named() {
        let problem = |text: &str| TokenFile::parse(text).unwrap_err();
        assert_eq!(problem("t1,ann,1\nt2,bob"), TokenFileError::Columns { line: 2, found: 2 });
        for text in ["\"t1,ann,1", "t\"1,ann,1", "\"t1\"x,ann,1"] {
            assert_eq!(problem(text), TokenFileError::Quote { line: 1 }, "{text}");
        }
    }
}
