//! What the rules need of a file's code: the paths that it names, and its functions with their sizes.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{
    Attribute, Block, ImplItemFn, ItemFn, ItemImpl, ItemMacro, ItemMod, ItemTrait, ItemUse, Macro,
    TraitItemFn,
};
use syn::{Type, UseTree, VisRestricted, Visibility};

/// A path below the crate that the code names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reference {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

/// A function with the lines of code of its body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Function {
    /// `Type::name` for methods.
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) references: Vec<Reference>,
    pub(crate) functions: Vec<Function>,
    /// The macros with `#[macro_export]`, whose names lie in the crate's root.
    pub(crate) exported_macros: BTreeSet<String>,
    /// The names that `pub use` hands on from own modules, and their paths.
    pub(crate) handed_on: BTreeMap<String, Vec<String>>,
}

impl Facts {
    /// `module` is the path of the file's module below the crate, `lines` are the lines with code.
    pub(crate) fn new(path: &str, module: &[String], code: TokenStream, lines: &BTreeSet<usize>) -> Facts {
        let parsed: syn::File = syn::parse2(code).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut reader = Reader { module: module.to_vec(), owner: None, lines, facts: Facts::default() };
        reader.visit_file(&parsed);
        reader.facts
    }
}

struct Reader<'a> {
    /// The module that is being read, inline modules included.
    module: Vec<String>,
    /// The type or trait whose functions are being read.
    owner: Option<String>,
    lines: &'a BTreeSet<usize>,
    facts: Facts,
}

impl Reader<'_> {
    /// Notes a path that begins with `crate`, `super` or `self`.
    fn refer(&mut self, path: &[String], line: usize) {
        let mut base = match path[0].as_str() {
            "crate" => Vec::new(),
            "super" | "self" => self.module.clone(),
            _ => return,
        };
        for segment in path {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => drop(base.pop()),
                name => base.push(name.to_string()),
            }
        }
        self.facts.references.push(Reference { path: base, line });
    }

    fn function(&mut self, name: &Ident, open: Span, close: Span) {
        let (first, last) = (open.start().line, close.end().line);
        let lines = if first == last { 1 } else { self.lines.range(first + 1..last).count() };
        let name = self.owner.as_ref().map_or(name.to_string(), |owner| format!("{owner}::{name}"));
        let line = open.start().line;
        self.facts.functions.push(Function { name, line, lines });
    }

    fn body(&mut self, name: &Ident, block: &Block) {
        let braces = block.brace_token.span;
        self.function(name, braces.open(), braces.close());
    }

    fn owned(&mut self, owner: String, read: impl FnOnce(&mut Self)) {
        let outer = self.owner.replace(owner);
        read(self);
        self.owner = outer;
    }

    /// Macros are not parsed, so their paths and functions are found among their tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut n = 0;
        while n < tokens.len() {
            match &tokens[n] {
                TokenTree::Ident(word) if word == "crate" || word == "super" || word == "self" => {
                    n = self.path_tokens(&tokens, n, Vec::new());
                    continue;
                }
                TokenTree::Ident(word) if word == "fn" => {
                    let body = tokens[n..].iter().find_map(|token| match token {
                        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
                        _ => None,
                    });
                    if let (Some(TokenTree::Ident(name)), Some(body)) = (tokens.get(n + 1), body) {
                        self.function(name, body.span_open(), body.span_close());
                    }
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
            n += 1;
        }
    }

    /// Reads a path or a tree of paths that begins at `n`, and returns where it ends.
    fn path_tokens(&mut self, tokens: &[TokenTree], mut n: usize, mut path: Vec<String>) -> usize {
        let line = tokens[n].span().start().line;
        let colon =
            |n: usize| matches!(tokens.get(n), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
        loop {
            match tokens.get(n) {
                Some(TokenTree::Ident(segment)) => path.push(segment.to_string()),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    let comma =
                        |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
                    for part in inner.split(comma).filter(|part| !part.is_empty()) {
                        self.path_tokens(part, 0, path.clone());
                    }
                    return n + 1;
                }
                _ => break,
            }
            n += 1;
            if !colon(n) || !colon(n + 1) {
                break;
            }
            n += 2;
        }
        if path.len() > 1 {
            self.refer(&path, line);
        }
        n
    }

    fn use_tree(&mut self, tree: &UseTree, mut path: Vec<String>, hands_on: bool) {
        let mut end = |path: &[String], name: &Ident, as_name: &Ident| {
            let path = if name == "self" { path.to_vec() } else { [path, &[name.to_string()]].concat() };
            let own = !matches!(path[0].as_str(), "crate" | "super" | "self");
            if hands_on && own {
                self.facts.handed_on.insert(as_name.to_string(), path.clone());
            }
            self.refer(&path, name.span().start().line);
        };
        match tree {
            UseTree::Path(step) => {
                path.push(step.ident.to_string());
                self.use_tree(&step.tree, path, hands_on);
            }
            UseTree::Name(name) => end(&path, &name.ident, &name.ident),
            UseTree::Rename(name) => end(&path, &name.ident, &name.rename),
            UseTree::Glob(glob) if !path.is_empty() => self.refer(&path, glob.star_token.span.start().line),
            UseTree::Glob(_) => {}
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.use_tree(tree, path.clone(), hands_on));
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {} // names a module around, imports nothing

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.use_tree(&item.tree, Vec::new(), matches!(item.vis, Visibility::Public(_)));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 && path.leading_colon.is_none() {
            self.refer(&segments, path.segments[0].ident.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_item_macro(&mut self, item: &'ast ItemMacro) {
        if item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")) {
            self.facts.exported_macros.extend(item.ident.as_ref().map(Ident::to_string));
        }
        visit::visit_item_macro(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        self.owned(type_name(&item.self_ty), |reader| visit::visit_item_impl(reader, item));
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.owned(item.ident.to_string(), |reader| visit::visit_item_trait(reader, item));
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        let outer = self.owner.take();
        self.body(&item.sig.ident, &item.block);
        visit::visit_item_fn(self, item);
        self.owner = outer;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.body(&item.sig.ident, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(block) = &item.default {
            self.body(&item.sig.ident, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

fn type_name(ty: &Type) -> String {
    match ty {
        Type::Path(path) => path.path.segments.last().map_or(String::new(), |last| last.ident.to_string()),
        Type::Reference(reference) => type_name(&reference.elem),
        _ => "_".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexed::Lexed;

    fn facts(module: &[&str], text: &str) -> Facts {
        let module: Vec<String> = module.iter().map(|name| name.to_string()).collect();
        let (lexed, code) = Lexed::new("a.rs", text);
        Facts::new("a.rs", &module, code, &lexed.code)
    }

    fn paths(module: &[&str], text: &str) -> Vec<String> {
        facts(module, text).references.iter().map(|reference| reference.path.join("::")).collect()
    }

    #[test]
    fn paths_are_found_in_imports_code_and_macros() {
        assert_eq!(paths(&["task"], "use crate::{a, b::{self, c as d}};"), ["a", "b", "b::c"]);
        assert_eq!(paths(&["task", "cell"], "fn f() -> super::Id { crate::a::b() }"), ["task::Id", "a::b"]);
        assert_eq!(paths(&["a"], "mod b { use super::super::c; }"), ["c"]);
        assert_eq!(paths(&[], "macro_rules! m { () => { $crate::a::b::<u8>() } }"), ["a::b"]);
        assert_eq!(paths(&[], "m! { use crate::{a::B, c::*}; self.x; }"), ["a::B", "c"]);
    }

    #[test]
    fn tests_comments_visibilities_and_other_crates_import_nothing() {
        assert!(paths(&["a"], "#[cfg(test)] mod tests { use crate::b; }").is_empty());
        assert!(paths(&["a"], "/// [`crate::b`]\nfn f() { // crate::c\n }").is_empty());
        assert!(paths(&["a"], "pub(in crate::b) struct X(std::io::Error, &'static str);").is_empty());
    }

    #[test]
    fn functions_have_the_name_of_their_type_and_count_their_code() {
        let text = "impl<T> Future for &mut X<T> {\n fn f() {\n  // no code\n\n  a();\n  b();\n }\n}\nm! { fn g() {\n c()\n } }";
        let functions = facts(&[], text).functions;
        assert_eq!(functions[0], Function { name: "X::f".to_string(), line: 2, lines: 2 });
        assert_eq!(functions[1], Function { name: "g".to_string(), line: 9, lines: 1 });
    }
}
