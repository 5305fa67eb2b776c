//! A file as tokens: its lines of code, its comments, and its code without documentation, unit tests and optional features.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::{Meta, Token};

/// The reason why code is not part of an ordinary build.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Gate {
    Test,
    Feature,
}

/// A line, counted from 1, and its text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) text: String,
}

/// The module that a gated `mod name;` declares.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) name: String,
    /// Whether the file is named by `#[path = ".."]`, and so lies beside the file of the declaration.
    pub(crate) by_path: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Lexed {
    /// The number of lines of all kinds.
    pub(crate) lines: usize,
    /// The lines with code, without unit tests and optional features.
    pub(crate) code: BTreeSet<usize>,
    /// The lines with comments, documentation included, each with the comment's text.
    pub(crate) comments: Vec<Line>,
    /// The first line of each doc comment.
    pub(crate) summaries: Vec<Line>,
    /// The `mod name;` declarations under a gate.
    pub(crate) gated_modules: Vec<(Declared, Gate)>,
}

impl Lexed {
    /// Also returns the code without documentation, unit tests and optional features.
    pub(crate) fn new(path: &str, text: &str) -> (Lexed, TokenStream) {
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut lexed = Lexed { lines: text.lines().count(), ..Lexed::default() };
        let mut docs = BTreeMap::new();
        let mut taken = Vec::new();
        walk(tokens.clone(), &mut docs, &mut taken);
        lexed.comments = comments(text, &taken);
        lexed.summaries = docs
            .iter()
            .filter(|(number, _)| !docs.contains_key(&(**number - 1)))
            .map(|(number, text)| Line { number: *number, text: text.trim().to_string() })
            .collect();
        let code = ordinary(tokens, &mut lexed.gated_modules);
        let mut spans = Vec::new();
        walk(code.clone(), &mut BTreeMap::new(), &mut spans);
        lexed.code = spans.iter().flat_map(|span| span.start().line..=span.end().line).collect();
        (lexed, code)
    }
}

/// The doc comments by line, and the places of all other tokens.
fn walk(tokens: TokenStream, docs: &mut BTreeMap<usize, String>, taken: &mut Vec<Span>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut n = 0;
    while n < tokens.len() {
        if let Some((length, group)) = attribute(&tokens[n..])
            && let Some(text) = doc(group)
        {
            docs.insert(group.span().start().line, text);
            n += length;
            continue;
        }
        match &tokens[n] {
            TokenTree::Group(group) => {
                taken.extend([group.span_open(), group.span_close()]);
                walk(group.stream(), docs, taken);
            }
            token => taken.push(token.span()),
        }
        n += 1;
    }
}

/// `#[..]` or `#![..]` at the beginning: its length in tokens, and its brackets.
fn attribute(tokens: &[TokenTree]) -> Option<(usize, &Group)> {
    let is = |n: usize, c| matches!(tokens.get(n), Some(TokenTree::Punct(punct)) if punct.as_char() == c);
    let n = if is(0, '#') && is(1, '!') { 2 } else { 1 };
    match tokens.get(n) {
        Some(TokenTree::Group(group)) if is(0, '#') && group.delimiter() == Delimiter::Bracket => {
            Some((n + 1, group))
        }
        _ => None,
    }
}

/// The text of a doc comment, which the lexer gives as `#[doc = "text"]`.
fn doc(group: &Group) -> Option<String> {
    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
    match &inner[..] {
        [TokenTree::Ident(name), TokenTree::Punct(equals), TokenTree::Literal(text)]
            if name == "doc" && equals.as_char() == '=' =>
        {
            syn::parse_str::<syn::LitStr>(&text.to_string()).ok().map(|text| text.value())
        }
        _ => None,
    }
}

/// Comments are what remains of the lines without their tokens.
fn comments(text: &str, taken: &[Span]) -> Vec<Line> {
    let mut rest: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
    for span in taken {
        let (start, end) = (span.start(), span.end());
        for number in start.line..=end.line {
            let line = &mut rest[number - 1];
            let from = if number == start.line { start.column } else { 0 };
            let to = if number == end.line { end.column } else { line.len() };
            line[from..to].fill(' ');
        }
    }
    let lines = rest.into_iter().enumerate().map(|(n, line)| Line {
        number: n + 1,
        text: line.into_iter().collect::<String>().trim().to_string(),
    });
    lines.filter(|line| !line.text.is_empty()).collect()
}

/// The code without documentation and without what is under a gate.
fn ordinary(tokens: TokenStream, gated: &mut Vec<(Declared, Gate)>) -> TokenStream {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut kept = TokenStream::new();
    let mut n = 0;
    while n < tokens.len() {
        if let Some((length, group)) = attribute(&tokens[n..]) {
            if doc(group).is_some() {
                n += length;
                continue;
            }
            if let Some(gate) = gate(group) {
                let end = n + length + item(&tokens[n + length..]);
                gated.extend(declared(&tokens[n..end]).map(|declared| (declared, gate)));
                n = end;
                continue;
            }
        }
        kept.extend([match &tokens[n] {
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), ordinary(group.stream(), gated));
                inner.set_span(group.span());
                TokenTree::Group(inner)
            }
            token => token.clone(),
        }]);
        n += 1;
    }
    kept
}

/// The gate in `#[cfg(..)]`: `test`, a feature, or `all(..)` with one of them.
fn gate(group: &Group) -> Option<Gate> {
    fn of(meta: &Meta) -> Option<Gate> {
        match meta {
            Meta::Path(path) if path.is_ident("test") => Some(Gate::Test),
            Meta::NameValue(pair) if pair.path.is_ident("feature") => Some(Gate::Feature),
            Meta::List(list) if list.path.is_ident("all") || list.path.is_ident("cfg") => list
                .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
                .ok()?
                .iter()
                .find_map(of),
            _ => None,
        }
    }
    syn::parse2(group.stream()).ok().filter(|meta: &Meta| meta.path().is_ident("cfg")).as_ref().and_then(of)
}

/// The number of tokens of the item, field, arm or statement at the beginning.
fn item(tokens: &[TokenTree]) -> usize {
    let mut n = 0;
    while let Some((length, _)) = attribute(&tokens[n..]) {
        n += length;
    }
    let is_word = |n: usize, words: &[&str]| match tokens.get(n) {
        Some(TokenTree::Ident(word)) => words.iter().any(|other| word == other),
        _ => false,
    };
    if is_word(n, &["pub"]) {
        n += 1;
        n += usize::from(matches!(tokens.get(n), Some(TokenTree::Group(_))));
    }
    let is_fn = is_word(n, &["const"]) && is_word(n + 1, &["fn", "unsafe", "async"]);
    let to_semicolon = is_word(n, &["use", "const", "static", "type", "let"]) && !is_fn;
    let with_body = is_fn
        || is_word(n, &["fn", "impl", "struct", "enum", "union", "trait", "mod", "macro_rules"])
        || is_word(n, &["extern", "unsafe", "async", "if", "for", "while", "loop", "match"]);
    let mut angles = 0;
    for (length, token) in tokens.iter().enumerate().skip(n) {
        let follows =
            |c| matches!(tokens.get(length + 1), Some(TokenTree::Punct(next)) if next.as_char() == c);
        match token {
            TokenTree::Punct(punct) => match punct.as_char() {
                '<' => angles += 1,
                '>' => angles -= i32::from(angles > 0),
                ';' => return length + 1,
                ',' if !with_body && !to_semicolon && angles == 0 => return length + 1,
                _ => {}
            },
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let is_body = !to_semicolon && (with_body || length == n) && !follows(';');
                if is_body {
                    return length + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// The module that these tokens declare, if they are `mod name;`.
fn declared(tokens: &[TokenTree]) -> Option<Declared> {
    let [.., TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Punct(end)] = tokens else {
        return None;
    };
    if word != "mod" || end.as_char() != ';' {
        return None;
    }
    let path = tokens.iter().filter_map(|token| match token {
        TokenTree::Group(group) => syn::parse2::<syn::MetaNameValue>(group.stream()).ok(),
        _ => None,
    });
    let file = path.filter(|pair| pair.path.is_ident("path")).find_map(|pair| match pair.value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(file), .. }) => Some(file.value()),
        _ => None,
    });
    let name = file.as_ref().map_or(name.to_string(), |file| file.trim_end_matches(".rs").to_string());
    Some(Declared { name, by_path: file.is_some() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
//! A file.
//! Its second line.

#[cfg(test)]
mod tests;
/// A function.
fn f() {
    // a comment
    let text = \"// no
        comment\"; // the end
}
#[cfg(all(test, target_os = \"linux\"))]
impl X {
    fn g() {}
}
struct Y {
    #[cfg(test)]
    a: Map<u8, u8>,
    b: u8,
}
#[cfg(feature = \"bytes\")]
use a::{b, c};
#[cfg(not(test))]
const A: u8 = 1;
";

    #[test]
    fn lines_of_code_are_without_comments_tests_and_features() {
        let (lexed, _) = Lexed::new("a.rs", TEXT);
        assert_eq!(lexed.lines, 24);
        assert_eq!(lexed.code.into_iter().collect::<Vec<_>>(), [7, 9, 10, 11, 16, 19, 20, 23, 24]);
    }

    #[test]
    fn comments_are_what_is_no_token() {
        let (lexed, _) = Lexed::new("a.rs", TEXT);
        let numbers: Vec<usize> = lexed.comments.iter().map(|line| line.number).collect();
        assert_eq!(numbers, [1, 2, 6, 8, 10]);
        assert_eq!(lexed.comments[4].text, "// the end");
        let summaries: Vec<&str> = lexed.summaries.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(summaries, ["A file.", "A function."]);
        assert_eq!(lexed.gated_modules[0].0.name, "tests");
    }
}
