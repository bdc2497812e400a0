//! What is printed and saved.

use super::*;

/// The value of a formula as it is printed.
struct Parser {
    text: Vec<char>,
    at: usize,
}

impl Parser {
    fn evaluate(text: &str) -> f64 {
        let mut parser = Self { text: text.chars().filter(|c| *c != ' ').collect(), at: 0 };
        let value = parser.sum();
        assert_eq!(parser.at, parser.text.len(), "{text}: what is at {}?", parser.at);
        value
    }

    fn peek(&self) -> char {
        self.text.get(self.at).copied().unwrap_or(' ')
    }

    fn takes(&mut self, c: char) -> bool {
        let takes = self.peek() == c;
        self.at += usize::from(takes);
        takes
    }

    fn sum(&mut self) -> f64 {
        let mut sum = if self.takes('−') { -self.product() } else { self.product() };
        loop {
            match () {
                () if self.takes('+') => sum += self.product(),
                () if self.takes('−') => sum -= self.product(),
                () => return sum,
            }
        }
    }

    fn product(&mut self) -> f64 {
        let mut product = self.power();
        loop {
            match () {
                () if self.takes('·') => product *= self.power(),
                () if self.takes('/') => product /= self.power(),
                () => return product,
            }
        }
    }

    fn power(&mut self) -> f64 {
        let base = self.atom();
        match () {
            () if self.takes('²') => base * base,
            () if self.takes('³') => base * base * base,
            () => base,
        }
    }

    fn atom(&mut self) -> f64 {
        if self.takes('(') {
            let value = self.sum();
            assert!(self.takes(')'));
            return value;
        }
        let start = self.at;
        while self.peek().is_alphabetic() && !self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at > start {
            let name: String = self.text[start..self.at].iter().collect();
            assert!(self.takes('('), "{name}");
            let x = self.sum();
            if name == "max" {
                assert!(self.takes(',') && self.takes('0'));
            }
            assert!(self.takes(')'));
            return match name.as_str() {
                "exp" => x.exp(),
                "ln" => x.ln(),
                "tanh" => x.tanh(),
                "abs" => x.abs(),
                "sqrt" => x.sqrt(),
                "sign" if x == 0.0 => 0.0,
                "sign" => x.signum(),
                "max" => x.max(0.0),
                "σ" => 1.0 / (1.0 + (-x).exp()),
                "Φ" => 0.5 * (1.0 + Scalar::erf(x / 2.0_f64.sqrt())),
                "φ" => (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt(),
                other => panic!("{other}"),
            };
        }
        while self.peek().is_ascii_digit() || self.peek() == '.' {
            self.at += 1;
        }
        if self.peek() == 'e' {
            self.at += 1;
            self.takes('−');
            while self.peek().is_ascii_digit() {
                self.at += 1;
            }
        }
        let number: String = self.text[start..self.at].iter().collect();
        number.replace('−', "-").parse().unwrap_or_else(|_| panic!("{number} in {:?}", self.text))
    }
}

#[test]
fn what_is_printed_evaluates_to_the_number() {
    let (mut formulas, mut others) = (0, 0);
    for case in cases() {
        let explanation = case.explain();
        for number in explanation.numbers() {
            let origin = explanation.origin(number).unwrap_or_else(|| panic!("{}: {number:?}", case.name));
            assert_eq!(Some(origin.value), explanation.value(number));
            let text = origin.text(17).replace(" ← ", " = ");
            let parts: Vec<&str> = text.split(" = ").collect();
            let Some(formula) = &origin.formula else {
                assert_ne!(origin.source, Source::Formula);
                others += 1;
                continue;
            };
            // The symbol, the formula, the formula with numbers, and the number: what is alike stands there once.
            assert!((3..=4).contains(&parts.len()) || formula.numbers(6) == formula.symbols(), "{text}");
            let value = Parser::evaluate(parts[parts.len() - 1]);
            assert_eq!(value, origin.value, "{text}");
            near(Parser::evaluate(&formula.numbers(17)), value, 1e-10, &text);
            near(formula.evaluate(), value, 1e-10, &text);
            if parts.len() == 4 {
                assert_eq!(parts[2], formula.numbers(17));
            }
            let latex = origin.latex(6);
            assert!(!latex.contains(['−', '₁']), "{latex}");
            // A superscript on another one, or on a fraction, and a brace that is not closed.
            assert!(!latex.contains(")}^{") && !latex.contains("}}^{"), "{latex}");
            assert_eq!(latex.matches('{').count(), latex.matches('}').count(), "{latex}");
            formulas += 1;
        }
    }
    assert!(formulas > 3_000, "{formulas} formulas, {others} others");
}

/// Compares with a stored file; with the variable `WRITE` set it is written anew.
fn stored(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected").join(name);
    if std::env::var_os("WRITE").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert!(text == expected, "{name} is printed in another way, see the difference with WRITE=1:\n{text}");
}

/// The network of the README and of the guide's chapter on the chain rule.
fn small() -> Explanation {
    let mut network = Network::<f64>::build([2], sequential![Affine::new(2), Sigmoid], Seed(1)).unwrap();
    network.parameters_mut().copy_from_slice(&[0.8, -0.4, 0.2, 0.6, 0.1, 0.3]);
    let x = Batch::new(&[0.5, -1.0], 1, [2]).unwrap();
    let settings = Settings::new().learning_rate(1.0);
    network.explain_with(x, Target::Values(&[1.0, 0.0]), &MeanSquaredError::new(), settings).unwrap()
}

/// All that an explanation can hold: sums over examples, readers and places, a Jacobian, what is frozen and random.
fn varied() -> (Network<f64>, Vec<f64>) {
    let shared = Shared::new(Affine::new(2));
    let chain = sequential![
        shared.clone(),
        Residual(sequential![shared, Dropout::new(0.5)]),
        Softmax,
        Frozen(Affine::new(2).no_bias()),
        Rnn::new(1),
        Flatten
    ];
    let network = Network::build([2, 2], chain, Seed(5)).unwrap();
    (network, vec![0.5, -1.0, 0.25, 2.0, -0.75, 0.5, 1.0, -0.125])
}

/// The equations within layers: a normalisation over the batch, attention, and a memory with gates.
fn within() -> Explanation {
    let chain = sequential![BatchNorm::new(), MultiHeadAttention::new(1).causal().no_bias(), Lstm::new(1).last_state()];
    let network = Network::build([2, 2], chain, Seed(6)).unwrap();
    let x = Batch::new(&[0.5, -1.0, 0.25, 2.0, -0.75, 0.5, 1.0, -0.125], 2, [2, 2]).unwrap();
    let settings = Settings::new().learning_rate(0.1);
    network.explain_with(x, Target::Values(&[0.5, -0.5]), &Huber::new(0.25), settings).unwrap()
}

#[test]
fn text_and_markdown_are_as_stored() {
    let explanation = small();
    stored("readme.txt", &explanation.to_string());
    stored("small.txt", &format!("{explanation:#}"));
    stored("small.md", &explanation.markdown());
    let (network, x) = varied();
    let (x, target) = (Batch::new(&x, 2, [2, 2]).unwrap(), Target::Classes(&[1, 0]));
    let loss = SoftmaxCrossEntropy::new();
    let mut adam = Adam::new(0.1);
    let explanation = network.explain_with(x, target, &loss, Settings::new().optimizer(&mut adam)).unwrap();
    stored("varied.txt", &format!("{explanation:#}"));
    stored("varied.md", &explanation.markdown());
    let explanation = within();
    stored("within.txt", &format!("{explanation:#}"));
    stored("within.md", &explanation.markdown());
    let settings = Settings::new().optimizer(&mut adam).full_up_to(10);
    let explanation = network.explain_with(x, target, &loss, settings).unwrap();
    stored("norms.txt", &explanation.to_string());
    stored("norms.md", &explanation.markdown());
}

#[test]
fn the_readme_shows_what_is_printed() {
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&format!("```text\n{}```\n", small())), "{}", small());
}

#[test]
fn json_round_trips() {
    for case in cases() {
        let explanation = case.explain();
        let json = serde_json::to_string(&explanation).unwrap();
        assert_eq!(serde_json::from_str::<Explanation>(&json).unwrap(), explanation, "{}", case.name);
    }
    let explanation = small();
    let origins: Vec<_> = explanation.numbers().into_iter().filter_map(|number| explanation.origin(number)).collect();
    let json = serde_json::to_string(&origins).unwrap();
    assert_eq!(serde_json::from_str::<Vec<downhill_explain::Origin>>(&json).unwrap(), origins);
}

#[test]
fn numbers_that_are_not_finite_are_saved_and_shown() {
    let mut network = Network::<f64>::build([1], Affine::new(1), Seed(1)).unwrap();
    network.parameters_mut()[0] = f64::INFINITY;
    let x = Batch::new(&[1.0], 1, [1]).unwrap();
    let explanation = network.explain(x, Target::Values(&[0.0]), &MeanSquaredError::new()).unwrap();
    assert!(format!("{explanation:#}").contains('∞'));
    assert!(explanation.markdown().contains("\\infty"));
    let json = serde_json::to_string(&explanation).unwrap();
    let again: Explanation = serde_json::from_str(&json).unwrap();
    assert_eq!(format!("{again:?}"), format!("{explanation:?}"));
}

#[test]
fn data_whose_parts_do_not_fit_is_shown_without_a_panic() {
    let (network, x) = varied();
    let x = Batch::new(&x, 2, [2, 2]).unwrap();
    let whole = network.explain(x, Target::Classes(&[1, 0]), &SoftmaxCrossEntropy::new()).unwrap();
    let others = ["convolution", "gru", "strides and groups", "groups that are normalised", "gates", "norms"];
    let others = cases().into_iter().filter(|case| others.contains(&case.name)).map(|case| case.explain());
    let breaks: [fn(&mut Explanation); 17] = [
        |e| e.nodes.truncate(1),
        |e| e.nodes.clear(),
        |e| e.parameters.truncate(1),
        |e| e.steps.truncate(2),
        |e| e.steps.clear(),
        |e| e.nodes.iter_mut().for_each(|node| node.values.numbers.truncate(1)),
        |e| e.nodes.iter_mut().for_each(|node| node.gradient.numbers.clear()),
        |e| e.parameters.iter_mut().for_each(|at| at.values.numbers.truncate(1)),
        |e| e.loss.node = 77,
        |e| e.examples = usize::MAX,
        |e| e.examples = 0,
        |e| all_settings(e).for_each(|value| *value = "1e300".into()),
        |e| all_settings(e).for_each(|value| *value = "[0, 0]".into()),
        |e| e.parameters.iter_mut().for_each(|at| at.shape = Shape::new(&[1, 1 << 39]).unwrap()),
        |e| e.nodes.iter_mut().for_each(|node| node.shape = Shape::new(&[0, 1 << 39]).unwrap()),
        |e| inner(e, &mut |inner, derivatives| (inner.truncate(2), derivatives.clear()).0),
        |e| inner(e, &mut |inner, _| inner.iter_mut().for_each(|inner| inner.values.numbers.truncate(1))),
    ];
    fn all_settings(e: &mut Explanation) -> impl Iterator<Item = &mut String> {
        e.steps.iter_mut().map(|at| &mut at.settings).chain([&mut e.loss.settings]).flat_map(|all| all.values_mut())
    }
    fn inner(e: &mut Explanation, change: &mut dyn FnMut(&mut Vec<Inner>, &mut Vec<LocalDerivative>)) {
        for at in &mut e.steps {
            match &mut at.local {
                Local::Equations { inner, derivatives } => change(inner, derivatives),
                Local::Jacobian { dx, .. } => dx.iter_mut().for_each(|matrix| matrix.rows = usize::MAX),
                _ => {}
            }
        }
    }
    for (whole, change) in
        [whole, within()].into_iter().chain(others).flat_map(|whole| breaks.map(|b| (whole.clone(), b)))
    {
        let mut broken = whole.clone();
        change(&mut broken);
        assert!(!format!("{broken:#}{}", broken.markdown()).is_empty());
        assert!(broken.edges().count() <= whole.edges().count());
        for number in whole.numbers() {
            let _ = broken.origin(number);
        }
    }
}
