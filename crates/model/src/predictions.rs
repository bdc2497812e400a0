use std::fmt;

use downhill_tensor::Scalar;
use ndarray::{Array2, ArrayView1, ArrayView2};

use crate::{Answers, Model, ModelError};

/// A model's answers, one for each row that it was asked about.
///
/// Which of the methods have an answer depends on what the model [answers](Model::answers) with.
#[derive(Clone, Debug)]
pub struct Predictions<'m, T> {
    pub(crate) model: &'m Model<T>,
    /// Probabilities, values in the targets' units, or the network's outputs if they are neither.
    pub(crate) outputs: Array2<T>,
    /// The class of each row; empty if the answers are no classes.
    pub(crate) classes: Vec<u32>,
}

impl<'m, T: Scalar> Predictions<'m, T> {
    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.outputs.nrows()
    }

    /// Returns whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The class of each row, counted from 0.
    ///
    /// # Errors
    /// Returns an error if the model does not answer with classes.
    pub fn classes(&self) -> Result<&[u32], ModelError> {
        self.model.expect(Answers::Classes, "classes")?;
        Ok(&self.classes)
    }

    /// The name of each row's class.
    ///
    /// # Errors
    /// Returns an error if the model does not answer with classes, or they have no names.
    pub fn labels(&self) -> Result<Vec<&'m str>, ModelError> {
        let model = self.model;
        let missing = || ModelError::Part {
            part: "the class names",
            reason: "the model has none; ask for `classes`, which are numbers",
        };
        self.classes()?.iter().map(|&class| model.class_name(class).ok_or_else(missing)).collect()
    }

    /// The probability of each class, or of yes for each independent question: (rows, outputs). A model of two classes
    /// and one output has one column, that of class 1.
    ///
    /// # Errors
    /// Returns an error if the model answers with values, or its outputs are no probabilities.
    pub fn probabilities(&self) -> Result<ArrayView2<'_, T>, ModelError> {
        if self.model.gives_probabilities() {
            Ok(self.outputs.view())
        } else {
            Err(ModelError::Answer { wanted: "probabilities", answers: self.model.answers_name() })
        }
    }

    /// The values in the targets' units: (rows, targets).
    ///
    /// # Errors
    /// Returns an error if the model does not answer with values.
    pub fn values(&self) -> Result<ArrayView2<'_, T>, ModelError> {
        self.model.expect(Answers::Values, "values")?;
        Ok(self.outputs.view())
    }

    /// The answer for each row, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Prediction<'m, T>> {
        let answer = |(row, outputs): (usize, ArrayView1<'_, T>)| Prediction {
            model: self.model,
            class: self.classes.get(row).copied(),
            outputs: outputs.to_vec(),
        };
        self.outputs.rows().into_iter().enumerate().map(answer)
    }
}

/// A model's answer for one row.
///
/// It is shown as a person would say it: `Gentoo (98.3 %)`, or `5047.2 g`.
#[derive(Clone, Debug)]
pub struct Prediction<'m, T> {
    pub(crate) model: &'m Model<T>,
    pub(crate) class: Option<u32>,
    pub(crate) outputs: Vec<T>,
}

impl<'m, T: Scalar> Prediction<'m, T> {
    /// The class, counted from 0, if the model answers with classes.
    #[must_use]
    pub fn class(&self) -> Option<u32> {
        self.class
    }

    /// The name of the class, if it has one.
    #[must_use]
    pub fn label(&self) -> Option<&'m str> {
        self.class.and_then(|class| self.model.class_name(class))
    }

    /// The probability of the class, if the model's outputs are probabilities.
    #[must_use]
    pub fn probability(&self) -> Option<T> {
        let class = self.class.filter(|_| self.model.gives_probabilities())?;
        match (&self.outputs[..], class) {
            (&[yes], 0) => Some(T::ONE - yes),
            (&[yes], _) => Some(yes),
            (outputs, class) => outputs.get(class as usize).copied(),
        }
    }

    /// The value in the target's unit, if the model answers with one value.
    #[must_use]
    pub fn value(&self) -> Option<T> {
        match (self.model.answers(), &self.outputs[..]) {
            (Answers::Values, &[value]) => Some(value),
            _ => None,
        }
    }

    /// All numbers of the answer: values in the targets' units, probabilities, or the network's outputs if they are
    /// neither.
    #[must_use]
    pub fn outputs(&self) -> &[T] {
        &self.outputs
    }
}

impl<T: Scalar> fmt::Display for Prediction<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(class) = self.class {
            match self.label() {
                Some(label) => f.write_str(label)?,
                None => write!(f, "class {class}")?,
            }
            return match self.probability() {
                Some(p) => write!(f, " ({:.1} %)", 100.0 * p.to_f64()),
                None => Ok(()),
            };
        }
        for (index, x) in self.outputs.iter().enumerate() {
            let between = if index == 0 { "" } else { ", " };
            write!(f, "{between}{x}")?;
            if let Some(unit) = self.model.units().get(index).filter(|unit| !unit.is_empty()) {
                write!(f, " {unit}")?;
            }
        }
        Ok(())
    }
}
