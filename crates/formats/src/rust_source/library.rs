//! The functions that a generated file may need, as text: of each file those that it calls.

use std::collections::BTreeSet;

/// The functions, types and constants, in the order in which a file holds them, with an empty line between two.
///
/// `FLOAT` and `BITS` stand for the precision. A line that ends with `//f32`, `//f64`, `//float` or `//int8` belongs to
/// files of that precision, or with weights of that kind.
const TEXT: &str = include_str!("functions.txt");

/// Introduces the elementary functions, if a file has one.
const ELEMENTARY: &str = "// Elementary functions:";

/// Writes the items that `code` names, and those that these name.
pub(super) fn items_for(code: &str, float: &str, int8: bool) -> String {
    let text = specialised(float, int8);
    let items: Vec<(&str, &str)> = items(&text).map(|item| (name(item), item)).collect();
    let mut needed = BTreeSet::new();
    let mut unread = vec![code];
    while let Some(code) = unread.pop() {
        for word in words(code) {
            let found = items.iter().position(|&(name, _)| name == word);
            if let Some(index) = found.filter(|&index| needed.insert(index)) {
                unread.extend(items.get(index).map(|&(_, item)| item));
            }
        }
    }
    let introduction = items.iter().position(|(_, item)| item.starts_with(ELEMENTARY));
    if let Some(index) = introduction.filter(|index| needed.range(index..).next().is_some()) {
        needed.insert(index);
    }
    needed.iter().filter_map(|&index| items.get(index)).map(|(_, item)| format!("\n{item}\n")).collect()
}

/// The text for a precision and a kind of weights.
fn specialised(float: &str, int8: bool) -> String {
    let bits = if float == "f32" { "u32" } else { "u64" };
    let kept = [float, if int8 { "int8" } else { "float" }];
    let mut text = String::new();
    for line in TEXT.lines() {
        let (line, kind) = match line.rsplit_once(" //") {
            Some((line, kind)) if ["f32", "f64", "float", "int8"].contains(&kind) => (line.trim_end(), Some(kind)),
            _ => (line, None),
        };
        if kind.is_none_or(|kind| kept.contains(&kind)) {
            text.push_str(&line.replace("FLOAT", float).replace("BITS", bits));
            text.push('\n');
        }
    }
    text
}

/// Splits a text where an empty line is followed by one that is not indented.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n\n").map(str::trim_end)
}

/// What an item defines: the word after `fn`, `struct` or `const`; the introduction has none.
fn name(item: &str) -> &str {
    let line = item.lines().find(|line| !line.starts_with("//") && !line.starts_with('#'));
    words(line.unwrap_or_default()).nth(1).unwrap_or_default()
}

/// The words of code without its comments, apart from methods and fields.
fn words(code: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.lines().flat_map(move |line| {
        let mut rest = line.split("//").next().unwrap_or_default();
        std::iter::from_fn(move || {
            loop {
                let (before, word) = rest.split_at(rest.find(is_part)?);
                let (word, after) = word.split_at(word.find(|c| !is_part(c)).unwrap_or(word.len()));
                rest = after;
                if !before.ends_with('.') || before.ends_with("..") {
                    return Some(word);
                }
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_what_it_calls_and_nothing_else() {
        let items = items_for("map(y, relu);", "f32", false);
        assert!(items.contains("fn map(") && items.contains("fn relu("));
        assert_eq!(items.matches("\nfn ").count(), 2, "{items}");
        assert!(!items.contains(ELEMENTARY));
        let items = items_for("map(y, tanh); // and not softmax(y, 3)", "f64", false);
        assert!(items.contains(ELEMENTARY) && items.contains("HALF_EXP_OF_TWICE") && !items.contains("softmax"));
        assert!(!items.contains("FLOAT") && !items.contains("BITS") && !items.contains("//f"));
    }

    #[test]
    fn each_item_has_a_name_of_its_own() {
        for float in ["f32", "f64"] {
            let text = specialised(float, true);
            let mut names: Vec<_> = items(&text).map(name).collect();
            assert!(names.len() > 60, "{names:?}");
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        }
    }
}
