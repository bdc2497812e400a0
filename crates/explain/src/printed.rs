//! Settings as layers, losses and optimizers print them for debugging: what `Debug` shows, all of them have.

use std::collections::BTreeMap;
use std::ops::Range;

/// The settings of a layer, a loss or a link of an optimizer, as they are printed: `negative_slope` is `0.01`.
pub(crate) type Settings = BTreeMap<String, String>;

/// The text up to the comma or the bracket that ends it.
fn up_to_the_end(text: &str) -> &str {
    let mut depth = 0_usize;
    let end = text.find(|c| match c {
        '(' | '[' | '{' => {
            depth += 1;
            false
        }
        ')' | ']' | '}' if depth == 0 => true,
        ')' | ']' | '}' => {
            depth -= 1;
            false
        }
        _ => c == ',' && depth == 0,
    });
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

/// The name with which a text begins.
pub(crate) fn name(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// Each `name: value` of a text, at any depth; the first of each name. Of a structure the name alone is kept.
pub(crate) fn settings(text: &str) -> Settings {
    let mut settings = Settings::new();
    for (colon, _) in text.match_indices(": ") {
        let before = text.get(..colon).unwrap_or_default();
        let key = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        let value = up_to_the_end(text.get(colon + 2..).unwrap_or_default());
        let value = value.split('{').next().unwrap_or_default().trim();
        if !key.is_empty() {
            settings.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    settings
}

/// All numbers of a setting, such as those of `Sides([[1, 1], [0, 0]])`.
pub(crate) fn numbers(settings: &Settings, name: &str) -> Vec<f64> {
    let Some(text) = settings.get(name) else { return Vec::new() };
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric() && !".-+".contains(c));
    parts.filter_map(|part| part.parse().ok()).collect()
}

/// The number of a setting, if it is set.
pub(crate) fn number(settings: &Settings, name: &str) -> Option<f64> {
    numbers(settings, name).first().copied()
}

/// Whether a setting is this word.
pub(crate) fn is(settings: &Settings, name: &str, word: &str) -> bool {
    settings.get(name).is_some_and(|value| value == word)
}

/// The links of an optimizer's chain, in order: the name and the settings of each.
pub(crate) fn links(text: &str) -> Vec<(String, Settings)> {
    text.split_once("Chain(").map_or(Vec::new(), |(_, chain)| links_of(up_to_the_end(chain)))
}

fn links_of(chain: &str) -> Vec<(String, Settings)> {
    // Several are a tuple, in which there may be others.
    let Some(mut rest) = chain.strip_prefix('(').and_then(|chain| chain.strip_suffix(')')) else {
        return vec![(name(chain).to_owned(), settings(chain))];
    };
    let mut links = Vec::new();
    loop {
        let link = up_to_the_end(rest);
        if link.is_empty() {
            return links;
        }
        links.extend(links_of(link));
        rest = rest.get(link.len()..).unwrap_or_default().trim_start_matches([',', ' ']);
    }
}

/// How an optimizer treats a part of θ.
pub(crate) struct Treatment {
    pub(crate) range: Range<usize>,
    pub(crate) rate_factor: f64,
    pub(crate) weight_decay: Option<f64>,
}

/// The parts of θ that an optimizer steps, if it knows them.
pub(crate) fn treatments(text: &str) -> Option<Vec<Treatment>> {
    let list = |name: &str, each: &str| -> Option<Vec<Settings>> {
        let (_, list) = text.split_once(name)?;
        Some(up_to_the_end(list).split(each).skip(1).map(settings).collect())
    };
    let treatments = list("treatments: ", "Treatment {")?;
    let treatment = |run: Settings| {
        let (start, end) = run.get("range")?.split_once("..")?;
        let treatment = treatments.get(run.get("treatment")?.parse::<usize>().ok()?)?;
        Some(Treatment {
            range: start.parse().ok()?..end.parse().ok()?,
            rate_factor: number(treatment, "rate_factor")?,
            weight_decay: number(treatment, "weight_decay"),
        })
    };
    Some(list(" runs: ", "Run {")?.into_iter().filter_map(treatment).collect())
}

#[cfg(test)]
mod tests {
    use downhill_layers::{Conv2d, LeakyRelu, Lstm};
    use downhill_losses::{MeanSquaredError, SoftmaxCrossEntropy, Weighted};
    use downhill_optim::{AdamW, ClipValue, GradientDescent, RmsProp};

    use super::*;

    #[test]
    fn settings_are_those_that_are_printed() {
        let leaky = settings(&format!("{:?}", LeakyRelu::new(0.25)));
        assert_eq!(number(&leaky, "negative_slope"), Some(0.25));
        let convolution = settings(&format!("{:?}", Conv2d::new(2, [3, 2]).padding([[1, 2], [3, 4]]).stride(2)));
        assert_eq!(numbers(&convolution, "padding"), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(numbers(&convolution, "stride"), [2.0, 2.0]);
        assert!(is(&convolution, "bias", "true"));
        let clip = settings(&format!("{:?}", ClipValue::new(f64::INFINITY)));
        assert_eq!(number(&clip, "limit"), Some(f64::INFINITY));
        let lstm = settings(&format!("{:?}", Lstm::new(2).dropout(1e-5)));
        assert_eq!((number(&lstm, "dropout"), number(&lstm, "forget_bias")), (Some(1e-5), None));
        let loss = SoftmaxCrossEntropy::new().class_weights([1.0, 0.5]).label_smoothing(0.1);
        let loss = settings(&format!("{loss:?}"));
        assert_eq!(numbers(&loss, "class_weights"), [1.0, 0.5]);
        assert!(is(&loss, "class_axis", "First"));
        let weighted = settings(&format!("{:?}", Weighted::new(&MeanSquaredError::new(), &[3.0, 1.0])));
        assert_eq!(numbers(&weighted, "weights"), [3.0, 1.0]);
        assert!(is(&weighted, "loss", "MeanSquaredError"));
    }

    #[test]
    fn links_are_in_order() {
        let names = |text: String| links(&text).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(format!("{:?}", GradientDescent::<f64>::new(0.1))), ["ScaleByRate"]);
        let adam = format!("{:?}", AdamW::<f64>::new(0.1).weight_decay(0.5));
        assert_eq!(names(adam.clone()), ["ScaleByAdam", "ScaleByRate", "DecoupledDecay"]);
        assert_eq!(number(&links(&adam)[2].1, "weight_decay"), Some(0.5));
        let rms = format!("{:?}", RmsProp::<f64>::new(0.1).centered());
        assert_eq!(names(rms.clone()), ["CoupledDecay", "ScaleByCenteredRms", "ScaleByRate"]);
        assert_eq!(number(&links(&rms)[1].1, "alpha"), Some(0.99));
        assert!(links("no chain").is_empty() && links("Chain(())").is_empty() && links("Chain((A, ), B))").len() < 3);
        let clipped = AdamW::<f64>::new(0.1).after(ClipValue::new(2.0)).after(ClipValue::new(3.0));
        let names = names(format!("{clipped:?}"));
        assert_eq!(names, ["ClipValue", "ClipValue", "ScaleByAdam", "ScaleByRate", "DecoupledDecay"]);
    }
}
