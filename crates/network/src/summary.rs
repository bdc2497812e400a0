use std::fmt;

use downhill_tensor::Shape;

use crate::graph::Program;

/// A table of a network's layers: print it.
#[derive(Clone, Debug)]
pub struct Summary {
    inputs: Vec<Shape>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    name: String,
    layer: &'static str,
    output: Shape,
    parameters: usize,
}

impl Summary {
    pub(crate) fn new(program: &Program) -> Self {
        let rows = program.steps.iter().enumerate().map(|(index, step)| Row {
            name: step.name.clone(),
            layer: step.signature.name(),
            output: step.signature.output(),
            // Shared parameters count once.
            parameters: if program.owner(index) == index { step.signature.parameters_len() } else { 0 },
        });
        Self { inputs: program.inputs.iter().map(|&input| program.nodes[input]).collect(), rows: rows.collect() }
    }

    /// The number of parameters in all.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.rows.iter().map(|row| row.parameters).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: fn(&Row) -> String, title: &str| {
            self.rows.iter().map(|row| text(row).len()).chain([title.len()]).max().unwrap_or(0)
        };
        let place = width(|row| row.name.clone(), "place");
        let layer = width(|row| row.layer.to_owned(), "layer");
        let output = width(|row| row.output.to_string(), "output");
        writeln!(f, "{:place$}  {:layer$}  {:>output$}  parameters", "place", "layer", "output")?;
        for input in &self.inputs {
            writeln!(f, "{:place$}  {:layer$}  {:>output$}", "", "input", input.to_string())?;
        }
        for row in &self.rows {
            let shape = row.output.to_string();
            writeln!(f, "{:place$}  {:layer$}  {shape:>output$}  {:>10}", row.name, row.layer, row.parameters)?;
        }
        write!(f, "{:place$}  {:layer$}  {:>output$}  {:>10}", "", "in all", "", self.parameters())
    }
}
