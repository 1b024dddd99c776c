//! A line in somebody's own words: text with `$variables` in it.
//!
//! It is read once, at start, so that a wrong name is an error then and not a dash
//! in every line. Apache's and nginx's formats are templates as well: there is one
//! way to render a text line.

use std::{fmt, str::FromStr};

use super::variable::Variable;

/// `$client - - [$time] "$request" $status $bytes_out`: text with variables.
///
/// A variable is a `$` and one of [`Template::VARIABLES`]; `$$` is a dollar sign. A
/// variable that has no value in a request is written as `-`. What clients sent is
/// escaped, so a line stays one line; a variable that may contain spaces belongs in
/// quotes.
///
/// ```
/// use lb_proxy::Template;
///
/// let template: Template = "$ts $method $path $status".parse()?;
/// assert_eq!(template.to_string(), "$ts $method $path $status");
///
/// let error = "$metod $path".parse::<Template>().unwrap_err();
/// assert_eq!(error.to_string(), "there is no variable `$metod`; did you mean `$method`?");
/// # Ok::<(), lb_proxy::TemplateError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    source: Box<str>,
    parts: Box<[Part]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(Box<str>),
    Variable(Variable),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// There is no variable of this name.
    #[error("there is no variable `${name}`{}", suggestion(name))]
    Unknown {
        /// Without the `$`.
        name: Box<str>,
    },
    /// A `$` stands before something that is no name.
    #[error("a `$` begins a variable; write `$$` for a dollar sign")]
    Dollar,
    /// It contains a control character, a line break perhaps.
    #[error("a template is one line and has no control characters")]
    Control,
    /// It is empty.
    #[error("a template must not be empty")]
    Empty,
}

fn suggestion(name: &str) -> String {
    match Variable::like(name) {
        Some(known) => format!("; did you mean `${known}`?"),
        None => {
            let known = Template::VARIABLES.map(|known| format!("`${known}`"));
            format!("; there are {}", known.join(", "))
        }
    }
}

impl Template {
    /// The names of all variables, without the `$`.
    pub const VARIABLES: [&'static str; Variable::ALL.len()] = {
        let mut names = [""; Variable::ALL.len()];
        let mut index = 0;
        while index < names.len() {
            names[index] = Variable::ALL[index].0;
            index += 1;
        }
        names
    };

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(source: &str) -> Result<Self, TemplateError> {
        if source.is_empty() {
            return Err(TemplateError::Empty);
        }
        if source.contains(char::is_control) {
            return Err(TemplateError::Control);
        }
        let (mut parts, mut text) = (Vec::new(), String::new());
        let mut rest = source;
        while let Some((before, after)) = rest.split_once('$') {
            text.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                text.push('$');
                rest = after;
                continue;
            }
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let (name, after) = after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len()));
            if name.is_empty() {
                return Err(TemplateError::Dollar);
            }
            let variable = Variable::named(name)
                .ok_or_else(|| TemplateError::Unknown { name: name.into() })?;
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text).into()));
            }
            parts.push(Part::Variable(variable));
            rest = after;
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text.into()));
        }
        Ok(Self { source: source.into(), parts: parts.into() })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.source).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(source: &str) -> String {
        source.parse::<Template>().unwrap_err().to_string()
    }

    #[test]
    fn text_and_variables_alternate() {
        let template: Template = "a$$b $method$path end".parse().unwrap();
        let text = |text: &str| Part::Text(text.into());
        assert_eq!(
            template.parts(),
            [
                text("a$b "),
                Part::Variable(Variable::Method),
                Part::Variable(Variable::Path),
                text(" end")
            ]
        );
    }

    #[test]
    fn a_wrong_name_is_named_with_the_one_that_was_meant() {
        assert_eq!(
            error("$client $stats"),
            "there is no variable `$stats`; did you mean `$status`?"
        );
        let far = error("$remote_user");
        assert!(far.starts_with("there is no variable `$remote_user`; there are `$attempts`, "));
        assert!(far.ends_with("`$user_agent`"), "{far}");
    }

    #[test]
    fn what_is_no_line_is_no_template() {
        assert_eq!(error(""), "a template must not be empty");
        assert_eq!(error("a\nb"), "a template is one line and has no control characters");
        for dollar in ["100 $", "$ $method", "${method}"] {
            assert_eq!(error(dollar), "a `$` begins a variable; write `$$` for a dollar sign");
        }
    }

    #[test]
    fn every_variable_can_be_written() {
        for name in Template::VARIABLES {
            let template: Template = format!("${name}").parse().unwrap();
            assert_eq!(template.parts().len(), 1, "{name}");
        }
    }
}
