//! Networks as Rust source: all of them are compiled as one program, whose answers are compared with `predict`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use downhill_formats::FormatError;
use downhill_formats::rust_source::{RustSource, to_rust_source};
use downhill_layers::{
    Affine, Backward, Conv2d, Description, Flatten, Forward, Inputs, Layer, LayerNorm, MaxPool2d, Mode, Relu,
    Signature, Tanh,
};
use downhill_network::{Graph, Network, Purpose, Repeat, Residual, Shared, sequential};
use downhill_tensor::{Batch, BuildError, Scalar, Seed, Shape};

mod cases;

use cases::{Case, cases, noise};

/// The prediction of the library for one example.
fn predict<T: Scalar>(network: &Network<T>, inputs: &[Vec<T>]) -> Vec<T> {
    let mut all = Inputs::empty();
    for (index, (numbers, shape)) in inputs.iter().zip(network.input_shapes()).enumerate() {
        all.set(index, Batch::new(numbers, 1, shape).unwrap());
    }
    let mut workspace = network.workspace(Purpose::Prediction);
    let y = network.forward(network.parameters(), all, &mut workspace, Mode::Evaluation).unwrap();
    y.slice().to_vec()
}

/// A file to compile, what to give it, and what it should answer.
struct Trial {
    about: String,
    source: String,
    /// The arguments of `predict`, and such that are all the same number `x`.
    arguments: String,
    all_x: String,
    expected: Vec<f64>,
    tolerance: f64,
    /// Whether it answers in `f32`.
    single: bool,
}

fn trial<T: Scalar>(case: &Case, writer: &RustSource, network: &Network<T>, reference: &Network<T>) -> Trial {
    let about = format!("{} in {}, {writer:?}", case.about, T::NAME);
    let source = writer.render(network).unwrap_or_else(|error| panic!("{about}: {error}"));
    let inputs: Vec<Vec<T>> = case.inputs.iter().map(|input| input.iter().map(|&x| T::from_f64(x)).collect()).collect();
    let expected: Vec<f64> = predict(reference, &inputs).iter().map(|y| y.to_f64()).collect();
    let largest = expected.iter().fold(1.0, |largest: f64, y| largest.max(y.abs()));
    let tolerance = if T::NAME == "f32" { 1e-6 } else { 1e-12 };
    let tolerance = if case.exact { 0.0 } else { tolerance * largest };
    let literal = |input: &Vec<T>| {
        let bits = input.iter().map(|&x| format!("{}::from_bits({})", T::NAME, bits(x)));
        format!("&[{}]", bits.collect::<Vec<_>>().join(", "))
    };
    let arguments = inputs.iter().map(literal).collect::<Vec<_>>().join(", ");
    let all_x = inputs.iter().map(|input| format!("&[x; {}]", input.len())).collect::<Vec<_>>().join(", ");
    Trial { about, source, arguments, all_x, expected, tolerance, single: T::NAME == "f32" }
}

fn bits<T: Scalar>(x: T) -> u64 {
    if T::NAME == "f32" { u64::from((x.to_f64() as f32).to_bits()) } else { x.to_f64().to_bits() }
}

/// The network with its weights as `int8` writes them: whole numbers times the scale of their row.
fn rounded<T: Scalar>(network: &Network<T>) -> Network<T> {
    let mut network = network.clone();
    let names: Vec<String> = network.segments().iter().map(|segment| segment.name.clone()).collect();
    let description = network.description().unwrap();
    for name in names {
        let of_step = |step: &&downhill_network::StepDescription| name.starts_with(&step.name);
        let step = description.steps.iter().filter(of_step).max_by_key(|step| step.name.len()).unwrap();
        let mut weight = network.parameter_mut(&name).unwrap();
        // Vectors stay, and so do those that hold one number for each place.
        if weight.ndim() < 2
            || matches!(step.layer.library(), Some(Description::LearntPositions(_) | Description::LayerNorm(_)))
        {
            continue;
        }
        for mut row in weight.outer_iter_mut() {
            let largest = row.iter().fold(0.0, |largest: f64, w| largest.max(w.to_f64().abs()));
            let scale = T::from_f64(largest / 127.0).to_f64();
            row.map_inplace(|w| *w = T::from_f64((w.to_f64() / scale).round() * scale));
        }
    }
    network
}

/// A program of the toolchain that this test was built with, or of the one on the path.
fn tool(name: &str) -> Command {
    let next_to_cargo = env::var_os("CARGO").map(|cargo| Path::new(&cargo).with_file_name(name));
    Command::new(next_to_cargo.filter(|tool| tool.exists()).unwrap_or_else(|| name.into()))
}

/// Whether a program of the toolchain is installed: Clippy and rustfmt need not be.
fn is_installed(name: &str) -> bool {
    tool(name).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn run(mut command: Command, directory: &Path) {
    let output = command.current_dir(directory).output().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{command:?}\n{text}");
}

/// Compiles as a program of the user's may be: by Clippy, which is a compiler that says more, if it is installed.
fn compile(directory: &Path, arguments: &[&str]) {
    let mut compiler = tool(if is_installed("clippy-driver") { "clippy-driver" } else { "rustc" });
    compiler.args(["--edition", "2024", "-D", "warnings", "-C", "opt-level=0", "-C", "debug-assertions=yes"]);
    compiler.args(arguments);
    run(compiler, directory);
}

/// Compiles all files as one crate without the standard library, and asks each of them once.
fn answers(trials: &[Trial]) -> Vec<Vec<f64>> {
    let directory = tempfile::tempdir().unwrap();
    // What is generated can be looked at after a failure.
    let kept = env::var_os("DOWNHILL_GENERATED").map(PathBuf::from);
    let directory = kept.as_deref().unwrap_or(directory.path());
    let mut library = String::from("#![no_std]\n#![forbid(unsafe_code)]\n");
    let mut main = String::from("fn main() {\n");
    for (index, trial) in trials.iter().enumerate() {
        fs::write(directory.join(format!("case_{index:03}.rs")), &trial.source).unwrap();
        writeln!(library, "pub mod case_{index:03};").unwrap();
        let predict = format!("generated::case_{index:03}::predict");
        let print = "print!(\"{} \", y.to_bits());";
        writeln!(main, "    for y in {predict}({}) {{ {print} }}\n    println!();", trial.arguments).unwrap();
        // Whatever it receives, it must not panic.
        let float = if trial.single { "f32" } else { "f64" };
        let odd = format!("[{float}::NAN, {float}::INFINITY, {float}::NEG_INFINITY, -1e30, 1e30, 0.0]");
        writeln!(main, "    for x in {odd} {{ std::hint::black_box({predict}({})); }}", trial.all_x).unwrap();
    }
    main.push_str("}\n");
    fs::write(directory.join("generated.rs"), library).unwrap();
    fs::write(directory.join("main.rs"), main).unwrap();
    compile(directory, &["--crate-type", "rlib", "generated.rs"]);
    if is_installed("rustfmt") {
        fs::write(directory.join("rustfmt.toml"), "").unwrap();
        let mut rustfmt = tool("rustfmt");
        rustfmt.args(["--check", "--edition", "2024", "--config-path", "rustfmt.toml", "generated.rs"]);
        run(rustfmt, directory);
    }
    compile(directory, &["--extern", "generated=libgenerated.rlib", "main.rs", "-o", "main"]);
    let output = Command::new(directory.join("main")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let number = |trial: &Trial, bits: &str| match trial.single {
        true => f64::from(f32::from_bits(bits.parse().unwrap())),
        false => f64::from_bits(bits.parse().unwrap()),
    };
    let lines = trials.iter().zip(text.lines());
    lines.map(|(trial, line)| line.split_whitespace().map(|y| number(trial, y)).collect()).collect()
}

#[test]
fn each_layer_answers_as_the_library_does() {
    let mut trials = Vec::new();
    let mut kinds = BTreeSet::new();
    for case in cases() {
        let double = case.network();
        let single = double.cast::<f32>();
        for step in double.description().unwrap().steps {
            let kind =
                serde_json::to_value(step.layer.library().unwrap()).unwrap()["type"].as_str().unwrap().to_owned();
            kinds.insert(kind);
        }
        let plain = RustSource::new();
        trials.push(trial(&case, &plain, &single, &single));
        trials.push(trial(&case, &plain, &double, &double));
        if case.has_weights() {
            let int8 = RustSource::new().int8();
            trials.push(trial(&case, &int8, &single, &rounded(&single)));
            trials.push(trial(&case, &int8, &double, &rounded(&double)));
        }
    }
    let missing: Vec<_> = Description::NAMES.iter().filter(|&&name| !kinds.contains(name)).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");

    let answers = answers(&trials);
    assert_eq!(answers.len(), trials.len());
    let mut wrong = String::new();
    for (trial, answer) in trials.iter().zip(&answers) {
        assert_eq!(answer.len(), trial.expected.len(), "{}", trial.about);
        let off = answer.iter().zip(&trial.expected).map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() });
        let off = off.fold(0.0, |worst: f64, off| if off > worst || off.is_nan() { off } else { worst });
        if off.is_nan() || off > trial.tolerance {
            writeln!(wrong, "{}: off by {off:e}, {answer:?} and not {:?}", trial.about, trial.expected).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    for trial in &trials {
        for word in ["std::", "alloc", "extern"] {
            assert!(!trial.source.contains(word), "{} holds {word}", trial.about);
        }
    }
}

#[test]
fn int8_weights_are_off_by_what_their_documentation_says() {
    let network = Network::<f64>::build([40], Affine::new(9), Seed(3)).unwrap();
    let x = vec![noise(40, 2)];
    let (exact, rounded) = (predict(&network, &x), predict(&rounded(&network), &x));
    let weight = network.parameter("weight").or_else(|_| network.parameter("0.weight")).unwrap();
    let sum: f64 = x[0].iter().map(|x| x.abs()).sum();
    for ((exact, rounded), row) in exact.iter().zip(&rounded).zip(weight.outer_iter()) {
        let largest = row.iter().fold(0.0, |largest: f64, w| largest.max(w.abs()));
        let off = (exact - rounded).abs();
        assert!(off > 0.0 && off <= largest / 254.0 * sum * (1.0 + 1e-9), "{off} with weights to {largest}");
    }
    let (plain, int8) = (to_rust_source(&network).unwrap(), RustSource::new().int8().render(&network).unwrap());
    let bytes = |source: &str| -> usize {
        let line = source.lines().find_map(|line| line.strip_prefix("// constants  ")).unwrap();
        line.trim_end_matches(" bytes").parse().unwrap()
    };
    assert_eq!(bytes(&plain), 8 * (40 * 9 + 9));
    assert_eq!(bytes(&int8), 40 * 9 + 8 * (9 + 9));
}

#[test]
fn the_same_network_gives_the_same_text() {
    for case in cases() {
        let network = case.network();
        assert_eq!(to_rust_source(&network).unwrap(), to_rust_source(&network.clone()).unwrap(), "{}", case.about);
    }
}

#[test]
fn a_name_cannot_leave_its_comment() {
    let mut graph = Graph::new();
    let x = graph.input([2]);
    let y = graph.scoped("a`\ncompile_error!();\u{2028}", |graph| graph.apply(Affine::new(2), &[x])).unwrap();
    let network = Network::<f32>::from_graph(&graph, y, Seed(1)).unwrap();
    let source = RustSource::new().name("one\ncompile_error!();\r\u{202e}").render(&network).unwrap();
    assert!(source.starts_with("// one compile_error!();"));
    for line in source.lines().filter(|line| line.contains("compile_error")) {
        assert!(line.trim_start().starts_with("//"), "{line}");
    }
    assert!(!source.contains(['\r', '\u{2028}', '\u{202e}']));
}

#[test]
fn a_layer_of_a_programs_own_is_named() {
    #[derive(Clone, Debug)]
    struct Own;

    impl Layer for Own {
        fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
            Ok(Signature::new("Own", inputs[0]))
        }
        fn forward<T: Scalar>(&self, _: &mut Forward<'_, T>) {}
        fn backward<T: Scalar>(&self, _: &mut Backward<'_, T>) {}
    }

    let network = Network::<f32>::build([4], sequential![Affine::new(4), Own], Seed(1)).unwrap();
    let error = to_rust_source(&network).unwrap_err();
    assert!(matches!(&error, FormatError::Layer { place, layer, .. } if place == "1" && layer == "Own"), "{error}");
    assert!(error.to_string().starts_with("Own `1` can't be written as Rust source: "), "{error}");
}

#[test]
fn a_weight_that_is_not_finite_has_no_int8() {
    let mut network = Network::<f32>::build([2], sequential![Relu, Affine::new(2)], Seed(1)).unwrap();
    network.parameter_mut("1.weight").unwrap()[[0, 1]] = f32::NAN;
    let error = RustSource::new().int8().render(&network).unwrap_err();
    assert!(matches!(&error, FormatError::Layer { place, .. } if place == "1"), "{error}");
    let source = to_rust_source(&network).unwrap();
    assert!(source.contains("f32::NAN"));
}

#[test]
fn an_example_without_numbers_is_an_error() {
    let network = Network::<f32>::build([0], Relu, Seed(1)).unwrap();
    let error = to_rust_source(&network).unwrap_err();
    assert!(matches!(&error, FormatError::Layer { layer, .. } if layer == "Relu"), "{error}");
}

#[test]
fn a_chain_needs_two_buffers_and_a_small_network_none() {
    let chain = sequential![
        Conv2d::new(4, 3),
        Relu,
        MaxPool2d::new(2),
        Flatten,
        Affine::new(16),
        Tanh,
        LayerNorm::new(),
        Affine::new(8),
        Tanh,
        Affine::new(3)
    ];
    let network = Network::<f32>::build([1, 8, 8], chain, Seed(1)).unwrap();
    let source = to_rust_source(&network).unwrap();
    assert!(source.contains(&format!("// buffers    {} bytes", 4 * (4 * 6 * 6 + 4 * 3 * 3))), "{source}");
    let single = Network::<f32>::build([4], sequential![Affine::new(2), Relu], Seed(1)).unwrap();
    let source = to_rust_source(&single).unwrap();
    assert!(source.contains("// buffers    0 bytes") && !source.contains("Workspace"), "{source}");
}

#[test]
fn weights_that_are_shared_are_written_once() {
    let shared = Shared::new(sequential![Affine::new(4), Tanh]);
    let network = Network::<f32>::build([4], sequential![shared.clone(), shared], Seed(1)).unwrap();
    let source = to_rust_source(&network).unwrap();
    assert_eq!(source.matches("static ").count(), 2, "{source}");
    let apart = Repeat::new(2, sequential![Affine::new(4), Residual(Tanh)]);
    let network = Network::<f32>::build([4], apart, Seed(1)).unwrap();
    assert_eq!(to_rust_source(&network).unwrap().matches("static ").count(), 4);
}
