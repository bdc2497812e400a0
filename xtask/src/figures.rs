//! `cargo xtask figures`: the guide's figures and tables, and the same in Korean.
//!
//! The Korean ones are the English ones with other words, so that no run is made twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::{Result, heavy, no_faults, workspace};

const ENGLISH: &str = "docs/guide/src/figures";
const KOREAN: &str = "docs/guide/ko/src/figures";

/// Draws the guide's figures and writes its tables, each from a run made for it, in both languages.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Only checks that the committed ones are what the runs give.
    #[arg(long)]
    check: bool,
    /// Makes no run, and only the Korean ones from the English ones that are there.
    #[arg(long)]
    translate: bool,
}

impl Arguments {
    /// For `--check`.
    pub(crate) fn checking() -> Self {
        Self { check: true, ..Self::default() }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    if !arguments.translate {
        let check = arguments.check.then(|| "--check".into());
        heavy::run("figures", &check.into_iter().collect::<Vec<_>>())?;
    }
    translate(arguments.check)
}

/// Writes the Korean figures and tables, or checks that they are the English ones as they are now.
pub(crate) fn translate(check: bool) -> Result {
    let root = workspace::root();
    let (korean, folder) = (translated(&read(&root.join(ENGLISH))?)?, root.join(KOREAN));
    let there = read(&folder).unwrap_or_default();
    let names: BTreeSet<_> = korean.keys().chain(there.keys()).collect();
    let stale: Vec<_> = names.into_iter().filter(|name| korean.get(*name) != there.get(*name)).collect();
    if check {
        let fault = |name: &&String| format!("{KOREAN}/{name}: stale; run `cargo xtask figures --translate`");
        return no_faults(&stale.iter().map(fault).collect::<Vec<_>>());
    }
    fs::create_dir_all(&folder)?;
    for name in stale {
        match korean.get(name) {
            Some(text) => fs::write(folder.join(name), text)?,
            None => fs::remove_file(folder.join(name))?,
        }
        println!("{name}: written anew in Korean");
    }
    Ok(())
}

/// Texts by the names of their files.
type Files = BTreeMap<String, String>;

fn read(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        files.insert(workspace::name(folder, &path), fs::read_to_string(&path)?);
    }
    Ok(files)
}

/// What figures and tables say, and the same in Korean; a longer phrase goes before its parts.
const WORDS: [(&str, &str); 99] = [
    // What the plots say and are called.
    ("best epoch", "최적 에포크"),
    ("decision regions", "결정 영역"),
    ("descent paths", "하강 경로"),
    ("diagram", "도식"),
    ("minimum", "최솟값"),
    ("training history", "학습 기록"),
    ("value", "값"),
    // Slopes and rates.
    ("slope", "기울기"),
    ("the tangent", "접선"),
    ("slow but sure", "느리지만 확실하게"),
    ("about right", "알맞다"),
    ("from side to side", "이쪽저쪽으로"),
    ("it explodes", "폭발한다"),
    ("error × (1 − 2γ) a step", "걸음마다 오차 × (1 − 2γ)"),
    ("what happened", "결과"),
    ("steps", "걸음 수"),
    ("the gradient vanished", "그레이디언트가 사라짐"),
    ("went to and fro until the limit", "한계까지 오감"),
    ("diverged: no longer a finite number", "발산: 더는 유한한 수가 아님"),
    (", just below 2/20", ", 2/20 바로 아래"),
    ("error × (κ−1)/(κ+1) a step", "걸음마다 오차 × (κ−1)/(κ+1)"),
    ("plain: steps", "모멘텀 없이: 걸음 수"),
    ("best μ", "가장 좋은 μ"),
    ("with momentum: steps", "모멘텀으로: 걸음 수"),
    // Penguins.
    ("flipper length in mm", "날개 길이(mm)"),
    ("mass in kg", "몸무게(kg)"),
    ("mass", "몸무게"),
    ("standardised flipper", "표준화한 날개 길이"),
    ("flippers in", "날개 길이의 단위"),
    ("limit 2/L", "한계 2/L"),
    ("steps to within 1% of the least J", "J가 최솟값의 1% 안에 들 때까지의 걸음 수"),
    ("millimetres", "밀리미터"),
    ("centimetres", "센티미터"),
    ("metres", "미터"),
    ("standardised", "표준화"),
    ("not in 100,000", "100,000걸음으로도 안 됨"),
    ("intercept b", "절편 b"),
    ("the whole gradient", "전체 그레이디언트"),
    ("batches of 4", "크기 4의 배치"),
    (", the rate falling to 0", ", 학습률은 0으로"),
    ("passes over the data", "데이터를 돈 횟수"),
    ("above the least J, in %", "J의 최솟값을 넘는 정도(%)"),
    ("above the least J, passes 15 to 30", "J의 최솟값을 넘는 정도, 15~30번째"),
    ("the same at the end, if the rate falls to 0", "학습률을 0으로 줄였을 때 마지막의 정도"),
    ("penguins looked at to be within 5%", "5% 안에 들 때까지 본 펭귄"),
    ("steps a pass", "한 번 도는 걸음 수"),
    ("batch", "배치"),
    (": all", ": 전부"),
    // Rosenbrock's function.
    ("gradient descent", "경사하강법"),
    ("momentum", "모멘텀"),
    ("start", "출발점"),
    ("f after 100 steps", "100걸음 뒤의 f"),
    ("after 300", "300걸음 뒤의 f"),
    ("steps until f < 10⁻⁴", "f < 10⁻⁴까지의 걸음 수"),
    // The chain rule.
    ("affine", "아핀"),
    ("sigmoid", "시그모이드"),
    ("loss", "손실"),
    ("forward", "순전파"),
    ("backward", "역전파"),
    ("by the chain rule", "연쇄 법칙으로"),
    ("by finite differences", "유한 차분으로"),
    ("apart", "차이"),
    ("step h", "간격 h"),
    ("error of ∂J/∂W₁₁", "∂J/∂W₁₁의 오차"),
    ("one-sided", "단측 차분"),
    ("central", "중앙 차분"),
    ("extrapolated, as downhill-gradcheck does", "외삽, downhill-gradcheck의 방법"),
    // Depth.
    ("hidden layer", "은닉층"),
    ("size of the output y", "출력 y의 크기"),
    ("with a skip connection", "스킵 연결"),
    ("twice Kaiming", "카이밍의 두 배"),
    ("Kaiming", "카이밍"),
    ("of layer 1", "(1층)"),
    ("of layer 20", "(20층)"),
    ("test accuracy after 10 epochs", "열 에포크 뒤의 테스트 정확도"),
    ("diverged", "발산"),
    // Digits.
    ("training loss", "훈련 손실"),
    ("test loss", "테스트 손실"),
    ("training accuracy", "훈련 정확도"),
    ("test accuracy", "테스트 정확도"),
    ("accuracy in %", "정확도(%)"),
    ("epoch", "에포크"),
    ("training", "훈련"),
    ("test", "테스트"),
    // Spirals.
    ("one spiral", "한 나선"),
    ("the other", "다른 나선"),
    // A table.
    ("bill depth in mm", "부리 두께(mm)"),
    ("male", "수컷"),
    ("female", "암컷"),
    ("Gentoo", "젠투펭귄"),
    ("Adelie, Chinstrap", "아델리펭귄, 턱끈펭귄"),
    ("validation", "검증"),
    ("shuffled", "뒤섞은 열"),
    ("right answers lost, of 100", "답 100개 가운데 잃은 정답"),
    ("bill length", "부리 길이"),
    ("bill depth", "부리 두께"),
    ("flipper length", "날개 길이"),
    ("species", "종"),
    ("island", "섬"),
];

/// Names and units that are written alike in both languages.
const NAMES: [&str; 7] = ["Adam", "ReLU", "Xavier", "downhill", "gradcheck", "kg", "mm"];

/// The files in Korean; fails with a line for each word that has no Korean one, and for each phrase that no file has.
fn translated(files: &Files) -> Result<Files> {
    let mut translator = Translator { unused: WORDS.iter().map(|(english, _)| *english).collect(), faults: Vec::new() };
    let mut korean = Files::new();
    for (name, text) in files {
        let text = if name.ends_with(".svg") { translator.svg(name, text) } else { translator.table(name, text) };
        korean.insert(name.clone(), text);
    }
    let unused = translator.unused.iter().map(|phrase| format!("no figure says \"{phrase}\" any more"));
    translator.faults.extend(unused);
    no_faults(&translator.faults)?;
    Ok(korean)
}

struct Translator {
    unused: BTreeSet<&'static str>,
    faults: Vec<String>,
}

impl Translator {
    /// A figure, whose words are in its elements `text` and `title`.
    fn svg(&mut self, name: &str, text: &str) -> String {
        let mut pieces = text.split("<t");
        let mut korean = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (element, rest) = piece.split_once('>').unwrap_or((piece, ""));
            let (words, rest) = rest.split_once("</t").unwrap_or((rest, ""));
            korean += &format!("<t{element}>{}</t{rest}", self.words(name, words));
        }
        korean
    }

    /// A table; blocks of code stay as they are.
    fn table(&mut self, name: &str, text: &str) -> String {
        if text.starts_with("```") {
            return text.to_owned();
        }
        let line = |line: &str| line.split('|').map(|cell| self.words(name, cell)).collect::<Vec<_>>().join("|");
        text.lines().map(line).map(|line| line + "\n").collect()
    }

    /// The words in Korean, of longer phrases first.
    fn words(&mut self, file: &str, words: &str) -> String {
        let mut phrases = WORDS;
        phrases.sort_by_key(|(english, _)| std::cmp::Reverse(english.len()));
        let (mut korean, mut rest) = (String::new(), words);
        while let Some(c) = rest.chars().next() {
            // Words are whole: no phrase begins or ends within one.
            let is_whole = |phrase: &str| {
                let ends = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphabetic());
                let before = if c.is_ascii_alphabetic() { korean.chars().last() } else { None };
                ends(before) && rest.strip_prefix(phrase).is_some_and(|after| ends(after.chars().next()))
            };
            if let Some((phrase, translation)) = phrases.iter().find(|(phrase, _)| is_whole(phrase)) {
                korean += translation;
                rest = &rest[phrase.len()..];
                self.unused.remove(phrase);
            } else {
                korean.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        // Symbols have one letter, but for "in", the number of inputs.
        let is_left = |word: &&str| word.len() > 1 && !NAMES.contains(word) && *word != "in";
        if let Some(word) = korean.split(|c: char| !c.is_ascii_alphabetic()).find(is_left) {
            self.faults.push(format!("{file}: \"{}\" has no Korean for \"{word}\"; add it to WORDS", words.trim()));
        }
        korean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translator() -> Translator {
        Translator { unused: BTreeSet::new(), faults: Vec::new() }
    }

    #[test]
    fn labels_and_cells_are_translated_and_numbers_stay() {
        let mut translator = translator();
        let svg = |title: &str, slope: &str| {
            format!(
                "<svg><title>{title}</title><text x=\"5\">\nh = 3: {slope} −1\n</text><line/><text>ReLU</text></svg>"
            )
        };
        assert_eq!(translator.svg("a.svg", &svg("loss", "slope")), svg("손실", "기울기"));
        let table = "|  | test accuracy | test |\n| --- | ---: | --- |\n| ReLU, twice Kaiming | 0.5 | 1 |\n";
        let korean = "|  | 테스트 정확도 | 테스트 |\n| --- | ---: | --- |\n| ReLU, 카이밍의 두 배 | 0.5 | 1 |\n";
        assert_eq!(translator.table("a.md", table), korean);
        assert_eq!(translator.table("b.md", "```rust\nlet slope = 1;\n```\n"), "```rust\nlet slope = 1;\n```\n");
        assert!(translator.faults.is_empty(), "{:?}", translator.faults);
    }

    #[test]
    fn a_word_without_a_korean_one_and_a_phrase_of_no_figure_are_faults() {
        let mut translator = translator();
        translator.words("a.svg", "the slopes");
        assert_eq!(translator.faults, ["a.svg: \"the slopes\" has no Korean for \"the\"; add it to WORDS"]);
        let files = Files::from([("a.svg".to_owned(), "<text >slope</text>".to_owned())]);
        let faults = translated(&files).unwrap_err().to_string();
        assert!(faults.contains("no figure says \"the tangent\" any more"), "{faults}");
        assert!(!faults.contains("\"slope\""), "{faults}");
    }

    #[test]
    fn the_korean_figures_are_the_english_ones_as_they_are_now() {
        translate(true).unwrap();
    }
}
