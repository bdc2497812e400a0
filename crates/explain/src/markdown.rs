//! The explanation as Markdown with equations.

use crate::explanation::{Explanation, Local, Step};
use crate::format::{self, DIGITS, Notation};
use crate::{Number, Origin};

/// Equations with one aligned column of signs.
fn equations(origins: &[Origin]) -> String {
    if origins.is_empty() {
        return String::new();
    }
    let line = |origin: &Origin| {
        let sign = if origin.is_update() { "\\leftarrow" } else { "=" };
        let equation = origin.latex(DIGITS);
        // The first sign is where the lines align.
        match equation.split_once(&format!(" {sign} ")) {
            Some((symbol, rest)) => format!("{symbol} &{sign} {rest}"),
            None => equation,
        }
    };
    let lines: Vec<String> = origins.iter().map(line).collect();
    format!("```math\n\\begin{{aligned}}\n{}\n\\end{{aligned}}\n```\n\n", lines.join(" \\\\\n"))
}

/// A table whose first row is its head; the first `left` columns are names.
fn table(rows: &[Vec<String>], left: usize) -> String {
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        // Bars of norms would end a cell.
        let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        text += &format!("| {} |\n", cells.join(" | "));
        if index == 0 {
            let rules: Vec<&str> = (0..row.len()).map(|column| if column < left { "---" } else { "---:" }).collect();
            text += &format!("|{}|\n", rules.join("|"));
        }
    }
    text + "\n"
}

impl Explanation {
    /// The explanation as Markdown: with an equation for each number if it is full, and with tables of norms otherwise.
    ///
    /// Equations are blocks of the language `math`, as GitHub and this project's guide render them, by KaTeX.
    #[must_use]
    pub fn markdown(&self) -> String {
        if !self.full {
            return self.norms_as_markdown();
        }
        let mut text = "## Forward\n\n".to_owned();
        for (node, at) in self.nodes.iter().enumerate().take(self.inputs()) {
            text += &format!("### {}, shape {}\n\n", capitalised(&self.node_name(node)), at.shape);
            text += &self.equations_of(|number| matches!(number, Number::Value { node: of, .. } if of == node));
        }
        for (index, step) in self.steps.iter().enumerate() {
            text += &format!("### {}\n\n", self.title(step));
            text += match &step.local {
                Local::Affine if step.parameters.len() > 1 => "```math\ny = x W^\\top + b\n```\n\n",
                Local::Affine => "```math\ny = x W^\\top\n```\n\n",
                _ => "",
            };
            text += &self.equations_of(|number| matches!(number, Number::Inner { step: of, .. } if of == index));
            text += &self.equations_of(|number| matches!(number, Number::Value { node, .. } if node == step.output));
        }
        text += &format!("### The loss, {}\n\n", self.loss.name);
        text += &self.equations_of(|number| matches!(number, Number::Target { .. } | Number::Loss));

        text += "## Backward\n\n### From the loss\n\n";
        let last = self.loss.node;
        text += &self.equations_of(|number| matches!(number, Number::Gradient { node, .. } if node == last));
        for (index, step) in self.steps.iter().enumerate().rev() {
            text += &format!("### {}\n\n", self.title(step));
            text += &self.backward_as_markdown(index, step);
        }
        for (parameter, at) in self.parameters.iter().enumerate().filter(|(_, at)| at.is_shared() && !at.frozen) {
            text += &format!("### `{}` is shared: the products are summed\n\n", at.name);
            let sums = |number| matches!(number, Number::ParameterGradient { parameter: of, .. } if of == parameter);
            text += &self.equations_of(sums);
        }

        if let Some(update) = &self.update {
            let rate = format::number(update.learning_rate, DIGITS, Notation::Latex);
            text += &format!("## Update by {}, $`\\eta = {rate}`$\n\n", update.optimizer);
            for (parameter, at) in self.parameters.iter().enumerate() {
                text += &format!("### `{}`\n\n", at.name);
                let memory = |number| matches!(number, Number::Remembered { parameter: of, .. } if of == parameter);
                let theta = |number| matches!(number, Number::Updated { parameter: of, .. } if of == parameter);
                text += &(self.equations_of(memory) + &self.equations_of(theta));
            }
        }
        text.truncate(text.trim_end().len());
        text + "\n"
    }

    fn norms_as_markdown(&self) -> String {
        let mut text = format!("## Forward and backward, {} examples\n\n", self.examples);
        text += &table(&self.step_norms(), 3);
        let value = format::number(self.loss.value, DIGITS, Notation::Latex);
        text += &format!("{}: $`J = {value}`$.\n\n## Parameters\n\n", self.loss.name);
        if let Some(update) = &self.update {
            let rate = format::number(update.learning_rate, DIGITS, Notation::Latex);
            text += &format!("Updated by {}, $`\\eta = {rate}`$.\n\n", update.optimizer);
        }
        text += table(&self.parameter_norms(), 1).trim_end();
        text + "\n"
    }

    fn title(&self, step: &Step) -> String {
        let heading = self.heading(step);
        match heading.split_once("  ").filter(|_| !step.name.is_empty()) {
            Some((name, rest)) => format!("`{name}`, {rest}"),
            None => heading,
        }
    }

    /// The equations of the numbers that are asked for.
    fn equations_of(&self, wanted: impl Fn(Number) -> bool) -> String {
        let numbers = self.numbers().into_iter().filter(|&number| wanted(number));
        equations(&numbers.filter_map(|number| self.origin(number)).collect::<Vec<_>>())
    }

    fn backward_as_markdown(&self, index: usize, step: &Step) -> String {
        let mut text = String::new();
        if self.nodes.get(step.output).is_some_and(|node| node.readers.len() > 1) {
            text += "From above comes the sum of what all readers give back:\n\n";
            let node = step.output;
            text += &self.equations_of(|number| matches!(number, Number::Gradient { node: of, .. } if of == node));
        }
        text += match &step.local {
            Local::Affine if step.parameters.len() > 1 => {
                "Local derivatives: $`\\partial y/\\partial x = W`$, $`\\partial y/\\partial W = x`$, \
                 $`\\partial y/\\partial b = 1`$.\n\n"
            }
            Local::Affine => "Local derivatives: $`\\partial y/\\partial x = W`$, $`\\partial y/\\partial W = x`$.\n\n",
            Local::Sum => "Each local derivative is 1.\n\n",
            Local::Elementwise { .. } => "Local derivatives, each number by itself:\n\n",
            Local::Equations { .. } => "Local derivatives, each of an equation by a number in it:\n\n",
            Local::Jacobian { .. } => "Local derivatives, those that are not 0:\n\n",
            Local::NotListed => "The local derivatives are not listed.\n\n",
        };
        text += &self.equations_of(|number| match number {
            Number::Slope { step, .. } | Number::Derivative { step, .. } | Number::InnerDerivative { step, .. } => {
                step == index
            }
            _ => false,
        });
        if matches!(step.local, Local::Equations { .. }) {
            text += "What comes to the numbers between:\n\n";
            text += &self.equations_of(|number| matches!(number, Number::InnerGradient { step, .. } if step == index));
        }
        text += "Products with what comes from above:\n\n";
        for (input, &node) in step.inputs.iter().enumerate() {
            if self.nodes.get(node).is_none_or(|node| node.whole_numbers) {
                text += "Whole numbers have no derivative.\n\n";
                continue;
            }
            let dx = |number| matches!(number, Number::Product { step, input: of, .. } if (step, of) == (index, input));
            text += &self.equations_of(dx);
        }
        for &parameter in &step.parameters {
            text += &self.equations_of(|number| {
                matches!(number, Number::ParameterProduct { step, parameter: of, .. } if (step, of) == (index, parameter))
            });
            if let Some(at) = self.parameters.get(parameter).filter(|at| at.frozen) {
                text += &format!("`{}` is frozen: its gradient counts as 0.\n\n", at.name);
            }
        }
        text
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
