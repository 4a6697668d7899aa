//! Doc comments as help.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The first paragraph of a doc comment on one line, with links replaced by their text.
pub fn first_paragraph(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(line).skip_while(|line| line.trim().is_empty());
    let paragraph: Vec<String> =
        lines.take_while(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned()).collect();
    without_links(&paragraph.join(" "))
}

fn line(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

/// [`Name`] and [`Name`](place) become `Name`; other brackets may be mathematics and stay.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("[`") {
        let link = &rest[at + 1..];
        let Some(end) = link.find("`]") else { break };
        plain.push_str(&rest[..at]);
        plain.push_str(&link[..=end]);
        rest = &link[end + 2..];
        if let Some(place) = rest.strip_prefix('(')
            && let Some(end) = place.find(')')
        {
            rest = &place[end + 1..];
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(item: syn::DeriveInput) -> String {
        first_paragraph(&item.attrs)
    }

    #[test]
    fn only_the_first_paragraph_is_help() {
        let item = syn::parse_quote! {
            /// One sentence
            /// over two lines.
            ///
            /// For readers of the code.
            struct Thing;
        };
        assert_eq!(told(item), "One sentence over two lines.");
        assert_eq!(
            told(syn::parse_quote!(
                struct Thing;
            )),
            ""
        );
    }

    #[test]
    fn links_are_their_words_and_other_brackets_stay() {
        let item = syn::parse_quote! {
            /// As [`Cfg`] and [`scale`](crate::Cfg::scale) with `rules: [..]`, in [0, 1], [`open.
            struct Thing;
        };
        assert_eq!(told(item), "As `Cfg` and `scale` with `rules: [..]`, in [0, 1], [`open.");
    }
}
