//! `${NAME}` in string values: what the environment says at the moment of loading.

use std::borrow::Cow;

use thiserror::Error;

/// Looks up a variable of the environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces each `${NAME}`. `$${` stands for `${`; a dollar sign before anything else for itself.
///
/// # Errors
///
/// A variable that is not set is an error, not an empty text.
pub fn expand<'a>(
    text: &'a str,
    environment: Environment<'_>,
) -> Result<Cow<'a, str>, VariableError> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            expanded.push_str(&rest[..at - 1]);
            expanded.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        expanded.push_str(&rest[..at]);
        let (name, behind) = rest[at + 2..].split_once('}').ok_or(VariableError::Unclosed)?;
        if !is_variable(name) {
            return Err(VariableError::Name(name.to_owned()));
        }
        match environment(name) {
            Some(value) => expanded.push_str(&value),
            None => return Err(VariableError::Undefined(name.to_owned())),
        }
        rest = behind;
    }
    expanded.push_str(rest);
    Ok(Cow::Owned(expanded))
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Why a text cannot be expanded.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum VariableError {
    /// `${a b}`.
    #[error("`{0}` is not the name of an environment variable")]
    Name(String),
    /// `${` without `}`.
    #[error("`${{` without `}}`")]
    Unclosed,
    /// Not set.
    #[error("the environment variable `{0}` is not set")]
    Undefined(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, VariableError> {
        let environment = |name: &str| (name == "ZONE").then(|| "a".to_owned());
        expand(text, &environment).map(Cow::into_owned)
    }

    #[test]
    fn variables_are_replaced_and_escapes_stay() {
        assert_eq!(expanded("x-${ZONE}-${ZONE}.y"), Ok("x-a-a.y".to_owned()));
        assert_eq!(expanded("$${ZONE} $5 $"), Ok("${ZONE} $5 $".to_owned()));
    }

    #[test]
    fn what_is_not_set_or_not_closed_is_an_error() {
        assert_eq!(expanded("${NONE}"), Err(VariableError::Undefined("NONE".to_owned())));
        assert_eq!(expanded("${ZONE"), Err(VariableError::Unclosed));
        assert_eq!(expanded("${}"), Err(VariableError::Name(String::new())));
    }
}
