use downhill_layers::{
    Arrays, ArraysMut, Backward, Forward, Inputs, InputsMut, Layer, MAX_INPUTS, Mode, Signature, Streams,
};
use downhill_tensor::{Batch, BatchMut, Seed, Shape};

use crate::report::MOST_NUMBERS;
use crate::{GradcheckError, Report, differentiate};

/// The settings of a check of a layer.
#[derive(Clone, Debug)]
#[must_use]
pub struct LayerCheck {
    examples: usize,
    seed: Seed,
    margin: f64,
    mode: Mode,
}

impl Default for LayerCheck {
    fn default() -> Self {
        Self { examples: 3, seed: Seed(0), margin: 0.05, mode: Mode::Training { step: 0 } }
    }
}

impl LayerCheck {
    /// Checks training passes of three examples whose inputs are at least 0.05 away from 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the batch size.
    pub fn examples(mut self, examples: usize) -> Self {
        self.examples = examples;
        self
    }

    /// Sets the seed of the inputs, the parameters and the layer's own random streams, which stay the same throughout.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the least magnitude of the inputs, which keeps them away from kinks at 0.
    pub fn margin(mut self, margin: f64) -> Self {
        self.margin = margin;
        self
    }

    /// Sets whether the passes are training passes.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }
}

/// Compares a layer's explicit derivatives with finite differences of its forward pass, in f64.
///
/// For a random dJ/dy = w, J(x, θ) = Σ w·y is differentiated with respect to every input and parameter.
/// All outputs start as not-a-number, so that one which is not overwritten is found.
/// A layer that can run in place is also run in place, and must give the same bits.
///
/// ```
/// use downhill_gradcheck::{LayerCheck, TOLERANCE, check_layer};
/// use downhill_layers::Affine;
/// let report = check_layer(&Affine::new(3), &[[4].into()], &LayerCheck::new())?;
/// assert!(report.passes(TOLERANCE), "{report}");
/// # Ok::<(), downhill_gradcheck::GradcheckError>(())
/// ```
///
/// # Errors
/// Returns an error if the layer does not take inputs of these shapes, or if the check has no examples or would take too
/// long.
pub fn check_layer(layer: &impl Layer, inputs: &[Shape], check: &LayerCheck) -> Result<Report, GradcheckError> {
    if inputs.len() > MAX_INPUTS {
        return Err(GradcheckError::TooManyInputs { got: inputs.len() });
    }
    let signature = layer.signature(inputs)?;
    signature.check(inputs)?;
    let examples = check.examples;
    check_size(&signature, inputs, examples)?;
    let mut stream = check.seed.stream(0);
    let mut draw = |length: usize| -> Vec<f64> {
        // Uniform in ±[margin, margin + 1.5].
        let mut number = || (2.0 * stream.uniform() - 1.0) * 1.5;
        (0..length).map(|_| number()).map(|x| x + check.margin.copysign(x)).collect()
    };
    let mut x: Vec<Vec<f64>> = inputs.iter().map(|shape| draw(examples * shape.len())).collect();
    let theta = draw(signature.parameters_len());
    // Positive, for some are variances, and none has a derivative.
    let statistics: Vec<f64> = draw(signature.statistics_len()).iter().map(|x| 0.1 + x.abs()).collect();
    let dy = draw(examples * signature.output().len());
    let random = Streams::new(check.seed, check.mode.step(), 0);
    for (index, x) in x.iter_mut().enumerate() {
        if let Some(whole) = signature.whole_numbers_of(index) {
            let count = whole.most.saturating_sub(whole.least) as f64 + 1.0;
            x.iter_mut().for_each(|x| *x = whole.least as f64 + (stream.uniform() * count).floor());
        }
    }

    let forward = |x: &[Vec<f64>], theta: &[f64]| -> Result<(Vec<f64>, Vec<f64>), GradcheckError> {
        let mut y = vec![f64::NAN; examples * signature.output().len()];
        let mut saved = vec![f64::NAN; signature.saved().len(examples)];
        let mut scratch = vec![f64::NAN; signature.scratch_of_forward().len(examples)];
        layer.forward(&mut Forward {
            x: batches(x, inputs, examples)?,
            params: Arrays::new(theta, signature.parameter_layout(), 0),
            y: BatchMut::new(&mut y, examples, signature.output())?,
            saved: ArraysMut::new(&mut saved, signature.saved(), examples),
            scratch: ArraysMut::new(&mut scratch, signature.scratch_of_forward(), examples),
            statistics: Arrays::new(&statistics, signature.statistic_layout(), 0),
            mode: check.mode,
            random,
            ranks: None,
        });
        Ok((y, saved))
    };
    let (y, saved) = forward(&x, &theta)?;
    let mut report = Report::new(signature.name());
    if let Some(index) = y.iter().position(|y| y.is_nan()) {
        report.fail(format!("y[{index}]: not overwritten, or not a number"));
        return Ok(report);
    }

    let backward = |in_place: bool| -> Result<(Vec<Vec<f64>>, Vec<f64>), GradcheckError> {
        let mut dx: Vec<Vec<f64>> = inputs.iter().map(|shape| vec![f64::NAN; examples * shape.len()]).collect();
        if in_place {
            dx[0].copy_from_slice(&dy);
        }
        let mut dtheta = vec![f64::NAN; theta.len()];
        let mut scratch = vec![f64::NAN; signature.scratch_of_backward().len(examples)];
        let mut wanted = InputsMut::empty();
        for (index, (dx, shape)) in dx.iter_mut().zip(inputs).enumerate() {
            wanted.set(index, BatchMut::new(dx, examples, *shape)?);
        }
        // Arrays that the signature says are not read are absent.
        let mut seen = batches(&x, inputs, examples)?;
        if !signature.needs_x() {
            inputs.iter().enumerate().for_each(|(index, shape)| seen.set(index, Batch::absent(examples, *shape)));
        }
        let output = signature.output();
        layer.backward(&mut Backward {
            x: seen,
            params: Arrays::new(&theta, signature.parameter_layout(), 0),
            y: if signature.needs_y() { Batch::new(&y, examples, output)? } else { Batch::absent(examples, output) },
            saved: Arrays::new(&saved, signature.saved(), examples),
            scratch: ArraysMut::new(&mut scratch, signature.scratch_of_backward(), examples),
            dy: if in_place { Batch::absent(examples, output) } else { Batch::new(&dy, examples, output)? },
            dx: wanted,
            dparams: ArraysMut::new(&mut dtheta, signature.parameter_layout(), 0),
            ranks: None,
        });
        Ok((dx, dtheta))
    };
    let (dx, dtheta) = backward(false)?;

    let objective = |y: &[f64]| y.iter().zip(&dy).map(|(y, w)| y * w).sum::<f64>();
    let value = |x: &[Vec<f64>], theta: &[f64]| forward(x, theta).map_or(f64::NAN, |(y, _)| objective(&y));
    for (index, explicit) in dx.iter().enumerate() {
        if signature.whole_numbers_of(index).is_some() {
            report.compare(&format!("dJ/dx{index}"), explicit, &vec![Some(0.0); explicit.len()]);
            continue;
        }
        let mut moved = x.clone();
        let numeric = differentiate(&x[index], |x| {
            moved[index].copy_from_slice(x);
            value(&moved, &theta)
        });
        report.compare(&format!("dJ/dx{index}"), explicit, &numeric);
    }
    let numeric = differentiate(&theta, |theta| value(&x, theta));
    report.compare("dJ/dtheta", &dtheta, &numeric);

    if signature.runs_in_place() && inputs[0].len() == signature.output().len() {
        let mut over = x[0].clone();
        let mut saved = vec![f64::NAN; signature.saved().len(examples)];
        let mut scratch = vec![f64::NAN; signature.scratch_of_forward().len(examples)];
        layer.forward(&mut Forward {
            x: Inputs::empty(),
            params: Arrays::new(&theta, signature.parameter_layout(), 0),
            y: BatchMut::new(&mut over, examples, signature.output())?,
            saved: ArraysMut::new(&mut saved, signature.saved(), examples),
            scratch: ArraysMut::new(&mut scratch, signature.scratch_of_forward(), examples),
            statistics: Arrays::new(&statistics, signature.statistic_layout(), 0),
            mode: check.mode,
            random,
            ranks: None,
        });
        if over != y {
            report.fail("y: differs when the layer runs in place".into());
        }
        if backward(true)?.0 != dx {
            report.fail("dJ/dx: differs when the layer runs in place".into());
        }
    }
    Ok(report)
}

fn batches<'a>(x: &'a [Vec<f64>], shapes: &[Shape], examples: usize) -> Result<Inputs<'a, f64>, GradcheckError> {
    let mut inputs = Inputs::empty();
    for (index, (x, shape)) in x.iter().zip(shapes).enumerate() {
        inputs.set(index, Batch::new(x, examples, *shape)?);
    }
    Ok(inputs)
}

/// Refuses a check that would not end in any useful time, since it makes two forward passes for each number.
fn check_size(signature: &Signature, inputs: &[Shape], examples: usize) -> Result<(), GradcheckError> {
    let lengths = inputs.iter().copied().chain([signature.output()]).map(|shape| shape.len().saturating_mul(examples));
    let others = [
        signature.parameters_len(),
        signature.saved().len(examples),
        signature.scratch_of_backward().len(examples) / 64,
    ];
    match lengths.chain(others).max() {
        _ if examples == 0 => Err(GradcheckError::NoExamples),
        Some(numbers) if numbers > MOST_NUMBERS => Err(GradcheckError::TooLarge { examples, numbers }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use downhill_layers::{Affine, BatchNorm, single_input};
    use downhill_tensor::{BuildError, Scalar, elementwise};

    use super::*;
    use crate::TOLERANCE;

    #[test]
    fn checks_that_would_never_end_are_errors() {
        let check = |examples| LayerCheck::new().examples(examples);
        for examples in [usize::MAX, 1 << 40] {
            let error = check_layer(&Affine::new(1), &[[4].into()], &check(examples)).unwrap_err().to_string();
            assert!(error.contains("can be checked"), "{error}");
        }
        assert!(check_layer(&Affine::new(1 << 39), &[[1].into()], &check(1)).is_err());
        assert!(check_layer(&BatchNorm::new(), &[[1].into()], &check(0)).is_err());
    }

    /// y = x², with a derivative that is wrong in one of three ways.
    #[derive(Debug)]
    enum Wrong {
        Factor,
        NotOverwritten,
        LastIsMissing,
    }

    impl Layer for Wrong {
        fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
            Ok(Signature::new("Wrong", single_input("Wrong", inputs)?))
        }

        fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
            elementwise::map(pass.x[0].slice(), pass.y.slice(), |x| x * x);
        }

        fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
            let factor = match self {
                Self::Factor => T::from_f64(2.000_001),
                Self::NotOverwritten => return,
                Self::LastIsMissing => T::from_f64(2.0),
            };
            let Some(dx) = pass.dx.get(0) else { return };
            elementwise::zip_map(pass.x[0].slice(), pass.dy.slice(), dx.slice(), |x, dy| factor * x * dy);
            if let (Self::LastIsMissing, Some(last)) = (self, dx.slice().last_mut()) {
                *last = T::ZERO;
            }
        }
    }

    #[test]
    fn wrong_derivatives_are_found() {
        for wrong in [Wrong::Factor, Wrong::NotOverwritten, Wrong::LastIsMissing] {
            let report = check_layer(&wrong, &[[3].into()], &LayerCheck::new()).unwrap();
            assert!(!report.passes(TOLERANCE), "{wrong:?}: {report}");
        }
    }
}
