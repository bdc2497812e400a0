//! Every kind of plot, drawn from real data in both languages: its SVG is well-formed, shows what it should, and has no text
//! over text or beyond the edge.

#[path = "../examples/gallery/pictures.rs"]
mod gallery;

use std::sync::LazyLock;

use downhill_plot::{Language, Picture, Report, Theme};
use roxmltree::{Document, Node};

static ENGLISH: LazyLock<Vec<(&str, Picture)>> = LazyLock::new(|| gallery::all(Language::English).unwrap());
static KOREAN: LazyLock<Vec<(&str, Picture)>> = LazyLock::new(|| gallery::all(Language::Korean).unwrap());

fn all() -> impl Iterator<Item = (&'static str, Picture)> {
    ENGLISH.iter().chain(KOREAN.iter()).cloned()
}

/// The numbers of the picture's coordinates for each of its pixels.
const SCALE: f64 = 5.0;

/// Text with the box that it fills, by estimate, in pixels.
#[derive(Debug)]
struct Label {
    text: String,
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

fn label(node: &Node<'_, '_>) -> Label {
    let number = |name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap() / SCALE;
    let (x, y, size) = (number("x"), number("y"), number("font-size"));
    let text = node.text().unwrap_or_default().trim().to_owned();
    let em = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' => 0.27,
        ' ' | 'f' | 't' | 'r' | '(' | ')' => 0.35,
        'm' | 'w' | '%' | 'M' | 'W' => 0.85,
        '가'..='힣' => 0.92,
        'A'..='Z' => 0.65,
        _ => 0.55,
    };
    let wide = size * text.chars().map(em).sum::<f64>();
    let (from, to) = match node.attribute("text-anchor") {
        None => (0.0, wide),
        Some("middle") => (-wide / 2.0, wide / 2.0),
        Some("end") => (-wide, 0.0),
        Some(other) => panic!("{other}"),
    };
    let high = 0.45 * size;
    match node.attribute("transform") {
        None => Label { text, left: x + from, top: y - high, right: x + to, bottom: y + high },
        Some(turn) => {
            assert!(turn.starts_with("rotate(270, "), "{turn}");
            Label { text, left: x - high, top: y - to, right: x + high, bottom: y - from }
        }
    }
}

fn labels(document: &Document<'_>) -> Vec<Label> {
    document.descendants().filter(|node| node.has_tag_name("text")).map(|node| label(&node)).collect()
}

/// What lies on what, or beyond the edge.
fn faults(svg: &str, (width, height): (u32, u32)) -> Vec<String> {
    let document = Document::parse(svg).unwrap();
    let labels = labels(&document);
    let mut faults = Vec::new();
    for (index, a) in labels.iter().enumerate() {
        let (width, height) = (f64::from(width), f64::from(height));
        if a.left < 0.0 || a.top < 0.0 || a.right > width || a.bottom > height {
            faults.push(format!("{} lies beyond the edge: {a:?}", a.text));
        }
        for b in &labels[..index] {
            if a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom {
                faults.push(format!("{} lies on {}: {a:?}, {b:?}", a.text, b.text));
            }
        }
    }
    faults
}

#[test]
fn no_text_lies_on_text_or_beyond_the_edge() {
    let mut count = 0;
    for (name, picture) in all() {
        let faults = faults(&picture.to_svg(), picture.size());
        assert!(faults.is_empty(), "{name}: {faults:#?}");
        count += 1;
    }
    assert!(count >= 46, "{count}");
}

#[test]
fn text_over_text_is_found() {
    let text = |x: u32, text: &str| format!("<text x=\"{x}\" y=\"100\" font-size=\"60\">{text}</text>");
    let svg = |second: u32| format!("<svg>{}{}</svg>", text(50, "a word"), text(second, "another"));
    assert!(faults(&svg(400), (200, 40)).is_empty());
    assert_eq!(faults(&svg(150), (200, 40)).len(), 1);
    assert_eq!(faults(&svg(900), (200, 40)).len(), 1);
}

#[test]
fn each_svg_is_well_formed_and_of_numbers() {
    for (name, picture) in all() {
        for theme in [Theme::Light, Theme::Dark, Theme::Page] {
            let svg = picture.clone().theme(theme).to_svg();
            let document = Document::parse(&svg).unwrap_or_else(|error| panic!("{name}: {error}"));
            let root = document.root_element();
            let (width, height) = picture.size();
            assert_eq!(root.attribute("width"), Some(width.to_string().as_str()));
            assert_eq!(root.attribute("viewBox"), Some(format!("0 0 {} {}", 5 * width, 5 * height).as_str()));
            assert!(root.attribute("font-family").is_some_and(|fonts| fonts.contains("KR")));
            let title = root.children().find(|node| node.has_tag_name("title")).and_then(|node| node.text());
            assert_eq!(title, Some(picture.title()), "{name}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
            assert!(svg.len() < 100_000, "{name} has {} bytes", svg.len());
        }
    }
}

#[test]
fn the_same_data_give_the_same_bytes() {
    let again = gallery::all(Language::English).unwrap();
    assert!(ENGLISH.iter().zip(&again).all(|(a, b)| a == b && a.1.to_svg() == b.1.to_svg()));
}

/// The colours of a picture's shapes.
fn colours(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).unwrap();
    let of = |node: Node<'_, '_>| {
        node.attribute("fill").filter(|fill| *fill != "none").or(node.attribute("stroke")).map(str::to_owned)
    };
    document.descendants().filter_map(of).collect()
}

#[test]
fn a_dark_picture_differs_in_nothing_but_its_colours_and_one_of_a_page_has_both() {
    for (name, picture) in all() {
        let [light, dark, page] =
            [Theme::Light, Theme::Dark, Theme::Page].map(|theme| picture.clone().theme(theme).to_svg());
        let (of_light, of_dark) = (colours(&light), colours(&dark));
        assert_eq!((of_light.len(), colours(&page)), (of_dark.len(), of_light.clone()), "{name}");
        assert!(of_light.iter().zip(&of_dark).all(|(a, b)| a != b), "{name}");
        let without =
            |svg: &str, colours: &[String]| colours.iter().fold(svg.to_owned(), |svg, colour| svg.replace(colour, ""));
        assert_eq!(without(&light, &of_light), without(&dark, &of_dark), "{name}");
        let rules = page.split("</style>").next().unwrap();
        assert!(
            rules.contains("color-scheme: light dark") && of_dark.iter().all(|colour| rules.contains(colour)),
            "{name}"
        );
    }
}

#[test]
fn labels_are_in_the_language_that_was_asked_for() {
    let has_hangul = |svg: &str| svg.contains(|c: char| ('가'..='힣').contains(&c));
    for ((name, english), (_, korean)) in ENGLISH.iter().zip(KOREAN.iter()) {
        assert!(!has_hangul(&english.to_svg()), "{name}");
        assert!(has_hangul(&korean.to_svg()), "{name}");
    }
    let history = &KOREAN.iter().find(|(name, _)| *name == "history").unwrap().1.to_svg();
    assert!(
        ["손실, 훈련", "손실, 검증", "에포크", "학습률", "최적 에포크", "정확도"]
            .iter()
            .all(|text| history.contains(text))
    );
}

#[test]
fn plots_show_what_they_are_of() {
    let svg = |wanted: &str| ENGLISH.iter().find(|(name, _)| *name == wanted).unwrap().1.to_svg();
    let expected = [
        ("history", &["loss, training", "loss, validation", "accuracy", "learning rate", "epoch", "best epoch: "][..]),
        ("rates", &["each batch", "smoothed", "steepest fall: 0.", "a tenth of the least loss&apos;s: 0."]),
        ("descent", &["SGD", "Adam", "momentum", "start", "minimum", "x₁", "x₂"]),
        ("landscape_random", &["direction δ", "direction η", "loss", "network"]),
        ("landscape_path", &["principal direction 1 (", " %)", "start", "end"]),
        ("regions", &["class 0", "class 1"]),
        ("confusion", &["true class", "predicted class", "100 %"]),
        ("roc", &["false positive rate", "true positive rate", "a hidden layer: AUC 0.9", "chance"]),
        ("precision_recall", &["recall", "precision", "average precision 0."]),
        ("reliability", &["predicted probability", "share that came true", "count", "perfect"]),
        ("weights", &["1.weight", "1.bias", "%"]),
        ("activations", &["0 Flatten", "2 Sigmoid"]),
        ("gradient_flow", &["layer 1", "layer 7", "norm of the gradient", "step"]),
        ("network", &["input", "1x8x8", "1 Affine", "24 · 1,560 parameters"]),
        ("wired", &["Branches", "1.concat Concat", "2.add Add"]),
        ("passes", &["(−1, −0.5, 0, 0.5)", "1.add Add", "weight: (", "gradient: (", "true: (0.5, 1)", "J = "]),
        ("passes_norms", &["norm 2.", "0 Affine", "backward: gradients"]),
        ("predicted", &["true (°C)", "predicted (°C)"]),
        ("residuals", &["residual: predicted − true (°C)", "count"]),
        ("panels", &["γ = 0.05", "γ = 0.19", "minimum"]),
        ("diagram", &["affine", "z = x W + b", "∂J/∂z"]),
    ];
    for (name, texts) in expected {
        let svg = svg(name);
        assert!(texts.iter().all(|text| svg.contains(text)), "{name} lacks one of {texts:?}");
    }
    let pixels = |name: &str| svg(name).matches("<rect").count();
    assert!(pixels("filters") > 24 * 30 && pixels("kernels") > 12 * 5);
}

#[test]
fn a_report_is_one_file_that_needs_no_other() {
    for language in [Language::English, Language::Korean] {
        let html = gallery::report(language).unwrap().to_html();
        // What HTML has and XML lacks.
        let xml = html.replace("<!DOCTYPE html>", "").replace("<meta charset=\"utf-8\">", "");
        let xml = xml.replace("initial-scale=1\">", "initial-scale=1\"/>");
        let document = Document::parse(&xml).unwrap_or_else(|error| panic!("{error}"));
        let count = |tag: &str| document.descendants().filter(|node| node.tag_name().name() == tag).count();
        assert_eq!((count("svg"), count("figure"), count("table"), count("h1")), (7, 7, 2, 1));
        assert!(
            !html.contains("href=") && !html.contains("src=") && !html.contains("url(") && !html.contains("@import")
        );
        // A page of several pictures, each with the colours of its own.
        let ids: Vec<&str> = document.descendants().filter_map(|node| node.attribute("id")).collect();
        let different: std::collections::BTreeSet<&&str> = ids.iter().collect();
        assert!(ids.len() == 7 && different.len() == 7, "{ids:?}");
        assert!(html.contains(if language == Language::Korean { "<html lang=\"ko\">" } else { "<html lang=\"en\">" }));
    }
}

#[test]
fn what_a_report_says_is_text_and_no_markup() {
    let report = Report::new("<b> & \"c\"").text("1 < 2").table(["<i>", "n"], [["\u{1}a", "−3.5"], ["4", "7"]]);
    let html = report.to_html();
    assert!(html.contains("<h1>&lt;b&gt; &amp; &quot;c&quot;</h1>") && html.contains("<p>1 &lt; 2</p>"), "{html}");
    assert!(
        html.contains("<th scope=\"col\">&lt;i&gt;</th>") && html.contains("<td class=\"number\">−3.5</td>"),
        "{html}"
    );
    assert!(
        html.contains("<td>a</td>")
            && html.contains("<td>4</td>")
            && html.contains("scope=\"col\" class=\"number\">n<"),
        "{html}"
    );
}

#[test]
fn a_picture_is_saved_in_the_format_that_its_file_names() {
    let folder = tempfile::tempdir().unwrap();
    let picture = &ENGLISH[0].1;
    let at = |name: &str| folder.path().join(name);
    picture.save(at("a.svg")).unwrap();
    assert_eq!(std::fs::read_to_string(at("a.svg")).unwrap(), picture.to_svg());
    picture.save(at("a.PNG")).unwrap();
    let png = std::fs::read(at("a.PNG")).unwrap();
    // The width and the height follow the name of the first chunk.
    let number = |from: usize| u32::from_be_bytes(png[from..from + 4].try_into().unwrap());
    assert_eq!((&png[1..4], number(16), number(20)), (&b"PNG"[..], 2 * picture.size().0, 2 * picture.size().1));
    let error = picture.save(at("a.gif")).unwrap_err().to_string();
    assert!(error.contains("a.gif names no format of pictures: let it end in .svg"), "{error}");
    let error = picture.save(at("none/a.svg")).unwrap_err().to_string();
    assert!(error.contains("none/a.svg can't be written"), "{error}");
}
