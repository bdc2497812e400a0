//! The explanation as aligned text.

use std::fmt::{self, Display, Formatter};

use crate::explanation::{Array, Explanation, Local, Matrix, Parameter, Step, Targets};
use crate::format::{self, DIGITS, Notation};
use crate::{Norms, Number};

/// The most columns of a matrix of local derivatives that are shown with its zeros.
const WIDEST: usize = 12;

pub(crate) fn shown(value: f64) -> String {
    format::number(value, DIGITS, Notation::Text)
}

/// A line of a table: what it belongs to, its name, and cells that stand below one another or one text.
#[derive(Default)]
struct Row {
    section: String,
    label: String,
    cells: Vec<String>,
    text: String,
}

/// The rows of a step, whose columns are aligned.
#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn text(&mut self, section: &str, text: impl Into<String>) {
        self.0.push(Row { section: section.to_owned(), text: text.into(), ..Row::default() });
    }

    fn block(&mut self, section: &str, label: &str, rows: Vec<Vec<String>>) {
        for (index, cells) in rows.into_iter().enumerate() {
            let first = |text: &str| if index == 0 { text.to_owned() } else { String::new() };
            self.0.push(Row { section: first(section), label: first(label), cells, text: String::new() });
        }
    }

    /// A row for each vector along the last axis.
    fn array(&mut self, section: &str, label: &str, array: &Array, axes: &[usize]) {
        let width = axes.last().copied().unwrap_or(1).max(1);
        let rows = array.numbers.chunks(width).map(|row| row.iter().copied().map(shown).collect());
        self.block(section, label, rows.collect());
    }

    /// A row for each output of a weight.
    fn parameter(&mut self, section: &str, label: &str, array: &Array, at: &Parameter) {
        let axes = at.shape.axes();
        match axes {
            &[_, outputs] if at.transposed && outputs <= array.numbers.len() => {
                let row = |output| array.numbers.iter().skip(output).step_by(outputs.max(1)).copied().map(shown);
                self.block(section, label, (0..outputs).map(|output| row(output).collect()).collect());
            }
            _ => self.array(section, label, array, axes),
        }
    }

    /// With its zeros if it is narrow and has at most `most` rows, and otherwise by its size.
    fn matrix(&mut self, section: &str, label: &str, matrix: &Matrix, most: usize) {
        let Matrix { rows, columns, .. } = *matrix;
        if columns > WIDEST || rows > most {
            let entries = matrix.entries.len();
            return self.text(section, format!("{label}: {rows} x {columns}, of which {entries} are not 0"));
        }
        let row = |row| (0..columns).filter_map(|column| matrix.get(row, column)).map(shown).collect();
        self.block(section, label, (0..rows).map(row).collect());
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let widest = |part: &dyn Fn(&Row) -> usize| self.0.iter().map(part).max().unwrap_or(0);
        let (section, label) = (widest(&|row| chars(&row.section)), widest(&|row| chars(&row.label)));
        let columns: Vec<usize> = (0..widest(&|row| row.cells.len()))
            .map(|column| widest(&|row| row.cells.get(column).map_or(0, |cell| chars(cell))))
            .collect();
        for row in &self.0 {
            let mut line = "     ".to_owned();
            if section > 0 {
                line += &format!("{}  ", padded(&row.section, section));
            }
            if row.text.is_empty() {
                line += &padded(&row.label, label);
                for (cell, &width) in row.cells.iter().zip(&columns) {
                    line += &format!("  {}{cell}", " ".repeat(width.saturating_sub(chars(cell))));
                }
            }
            line += &row.text;
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// The width of a text; the hat of x̂ is a mark over a letter.
fn chars(text: &str) -> usize {
    text.chars().filter(|c| !('\u{300}'..='\u{36f}').contains(c)).count()
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(chars(text))))
}

/// Rows in columns, the first `left` of them aligned to the left and the others to the right.
pub(crate) fn columns(rows: &[Vec<String>], left: usize) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| Some(chars(row.get(column)?))).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let space = " ".repeat(width.saturating_sub(chars(cell)));
            line += &if column < left { format!("  {cell}{space}") } else { format!("  {space}{cell}") };
        }
        text += line.trim_end();
        text += "\n";
    }
    text
}

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.full {
            return self.write_norms(f);
        }
        writeln!(f, "Forward, {}", self.batch())?;
        for (node, at) in self.nodes.iter().enumerate().take(self.inputs()) {
            writeln!(f, "  {}, shape {}", self.node_name(node), at.shape)?;
            let mut table = Table::default();
            table.array("", "x", &at.values, at.shape.axes());
            write!(f, "{table}")?;
        }
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {}", self.heading(step))?;
            write!(f, "{}", self.forward_of(index, step))?;
        }
        writeln!(f, "  loss {}", self.loss.name)?;
        write!(f, "{}", self.loss_rows())?;

        writeln!(f, "\nBackward")?;
        for step in self.steps.iter().rev() {
            writeln!(f, "  {}", self.heading(step))?;
            write!(f, "{}", self.backward_of(step))?;
        }

        match &self.update {
            Some(update) => writeln!(f, "\nUpdate by {}, η = {}", update.optimizer, shown(update.learning_rate))?,
            None => writeln!(f, "\nGradient")?,
        }
        let mut rows = vec![["parameter", "", "θ", "dJ/dθ"].map(str::to_owned).to_vec()];
        if self.update.is_some() {
            rows[0].push("θ after".to_owned());
        }
        let slots = self.parameters.first().map_or(&[][..], |at| &at.memory[..]);
        rows[0].extend(slots.iter().map(|memory| format!("{} after", memory.short_name())));
        for (parameter, at) in self.parameters.iter().enumerate() {
            for index in at.order() {
                let symbol = self.symbol(Number::Parameter { parameter, index });
                let number = |array: &Array| array.numbers.get(index).map_or(String::new(), |&number| shown(number));
                let mut row = vec![at.name.clone(), symbol.map(|symbol| symbol.text).unwrap_or_default()];
                row.extend([&at.values, &at.gradient].map(number));
                row.extend(at.updated.as_ref().map(number));
                row.extend(at.memory.iter().map(|memory| number(&memory.after)));
                rows.push(row);
            }
        }
        f.write_str(&columns(&rows, 2))?;
        if f.alternate() {
            writeln!(f, "\nEach number")?;
            let mut rows = Vec::new();
            for number in self.numbers().into_iter().filter(|&number| !self.is_handed_on(number)) {
                if let Some(origin) = self.origin(number) {
                    let step = origin.step.and_then(|step| self.steps.get(step)).map_or("", |step| step.title());
                    rows.push(vec![step.to_owned(), origin.to_string()]);
                }
            }
            f.write_str(&columns(&rows, 2))?;
        }
        Ok(())
    }
}

/// The letter of a parameter, or its name.
pub(crate) fn letter(name: &str) -> &str {
    match name {
        "weight" => "w",
        "bias" => "b",
        name => name,
    }
}

impl Explanation {
    fn batch(&self) -> String {
        let examples = if self.examples == 1 { "example" } else { "examples" };
        format!("{} {examples}", self.examples)
    }

    /// A step's name, layer, inputs and shape.
    pub(crate) fn heading(&self, step: &Step) -> String {
        let mut heading = match step.name.as_str() {
            "" => step.layer.clone(),
            name => format!("{name}  {}", step.layer),
        };
        for (input, &node) in step.inputs.iter().enumerate() {
            heading += &format!(", x{} = {}", "′".repeat(input), self.node_name(node));
        }
        heading + &self.nodes.get(step.output).map(|node| format!(", shape {}", node.shape)).unwrap_or_default()
    }

    /// A node by the step that makes it.
    pub(crate) fn node_name(&self, node: usize) -> String {
        match self.maker(node).and_then(|step| self.steps.get(step)) {
            Some(step) => format!("y of {}", step.title()),
            None if self.inputs() == 1 => "input".to_owned(),
            None => format!("input {node}"),
        }
    }

    fn forward_of(&self, index: usize, step: &Step) -> Table {
        let mut table = Table::default();
        for at in step.parameters.iter().filter_map(|&parameter| self.parameters.get(parameter)) {
            match at.steps.last() {
                // The first step to run shows the numbers.
                Some(&first) if first != index => {
                    let first = self.steps.get(first).map_or("", |first| first.title());
                    table.text("", format!("{} is that of {first}", letter(at.short_name())));
                }
                _ => table.parameter("", letter(at.short_name()), &at.values, at),
            }
        }
        for inner in self.inner_arrays(index) {
            table.array("", &inner.name, &inner.values, inner.shape.axes());
        }
        if let Some(at) = self.nodes.get(step.output) {
            table.array("", "y", &at.values, at.shape.axes());
        }
        table
    }

    fn loss_rows(&self) -> Table {
        let mut table = Table::default();
        match &self.loss.targets {
            Targets::Values(values) => {
                let axes = self.nodes.get(self.loss.node).map_or(&[][..], |node| node.shape.axes());
                table.array("", "t", values, axes);
            }
            Targets::Classes(classes) => {
                table.block("", "t", vec![classes.iter().map(|class| format!("class {class}")).collect()]);
            }
        }
        table.block("", "J", vec![vec![shown(self.loss.value)]]);
        table
    }

    fn backward_of(&self, step: &Step) -> Table {
        let mut table = Table::default();
        let axes = self.nodes.get(step.output).map_or(&[][..], |node| node.shape.axes());
        if let Some(at) = self.nodes.get(step.output) {
            let above = match at.readers.len() {
                0 => "the loss".to_owned(),
                1 => "from above".to_owned(),
                readers => format!("sum of {readers}"),
            };
            table.array(&above, "dJ/dy", &at.gradient, axes);
        }
        let node = |input: usize| self.nodes.get(*step.inputs.get(input)?);
        match &step.local {
            Local::Affine if step.parameters.len() > 1 => table.text("local", "dy/dx = W, dy/dW = x, dy/db = 1"),
            Local::Affine => table.text("local", "dy/dx = W, dy/dW = x"),
            Local::Sum => table.text("local", "dy/dx = 1"),
            Local::Elementwise { slope } => table.array("local", "dy/dx", slope, axes),
            Local::Equations { inner, derivatives } => {
                table.text("local", format!("{} derivatives of its equations", derivatives.len()));
                for (index, inner) in inner.iter().rev().enumerate() {
                    let section = if index == 0 { "within" } else { "" };
                    table.array(section, &format!("dJ/d{}", inner.name), &inner.gradient, inner.shape.axes());
                }
            }
            Local::Jacobian { dx, dtheta } => {
                let count = self.nodes.get(step.output).map_or(0, |node| node.values.numbers.len());
                for (input, matrix) in dx.iter().enumerate() {
                    let (section, label) =
                        (if input == 0 { "local" } else { "" }, format!("dy/dx{}", "′".repeat(input)));
                    if node(input).is_some_and(|node| node.whole_numbers) {
                        table.text(section, format!("{label}: none, since these are whole numbers"));
                    } else {
                        table.matrix(section, &label, matrix, count);
                    }
                }
                for (&parameter, matrix) in step.parameters.iter().zip(dtheta) {
                    let name = self.parameters.get(parameter).map_or("", |at| letter(at.short_name()));
                    table.matrix("", &format!("dy/d{name}"), matrix, count);
                }
            }
            Local::NotListed => table.text("local", format!("as {} computes them, not listed", step.layer)),
        }
        for (input, dx) in step.dx.iter().enumerate() {
            let Some(node) = node(input) else { continue };
            let (section, label) = (if input == 0 { "product" } else { "" }, format!("dJ/dx{}", "′".repeat(input)));
            if node.whole_numbers {
                table.text(section, format!("{label}: none, since these are whole numbers"));
            } else {
                table.array(section, &label, dx, node.shape.axes());
            }
        }
        for (&parameter, dtheta) in step.parameters.iter().zip(&step.dtheta) {
            let Some(at) = self.parameters.get(parameter) else { continue };
            let name = letter(at.short_name());
            table.parameter("", &format!("dJ/d{name}"), dtheta, at);
            if at.frozen {
                table.text("", format!("{name} is frozen: its gradient counts as 0"));
            } else if at.is_shared() {
                let all: Vec<&str> = at.steps.iter().filter_map(|&step| Some(self.steps.get(step)?.title())).collect();
                table.text("", format!("{name} is shared: dJ/d{name} is the sum of those of {}", all.join(" and ")));
            }
        }
        table
    }

    /// The steps of a large network, a row for each.
    pub(crate) fn step_norms(&self) -> Vec<Vec<String>> {
        let mut rows =
            vec![["step", "layer", "shape", "|y|", "|dJ/dy|", "|dJ/dx|", "|dJ/dθ|"].map(str::to_owned).to_vec()];
        let joined = |arrays: &[Array]| {
            let norms: Vec<String> = arrays.iter().map(|array| shown(array.norms.norm)).collect();
            norms.join(" ")
        };
        for (node, at) in self.nodes.iter().enumerate() {
            let step = self.maker(node).and_then(|step| self.steps.get(step));
            let (name, layer) = step.map_or(("", "input"), |step| (&step.name, &step.layer));
            let mut row = vec![name.to_owned(), layer.to_owned(), at.shape.to_string()];
            row.extend([&at.values, &at.gradient].map(|array| shown(array.norms.norm)));
            row.extend(step.map_or([String::new(), String::new()], |step| [joined(&step.dx), joined(&step.dtheta)]));
            rows.push(row);
        }
        rows
    }

    /// The parameters of a large network, a row for each.
    pub(crate) fn parameter_norms(&self) -> Vec<Vec<String>> {
        let mut rows = vec![["parameter", "numbers", "|θ|", "|dJ/dθ|", "dJ/dθ from", "to"].map(str::to_owned).to_vec()];
        if self.update.is_some() {
            rows[0].push("|θ| after".to_owned());
        }
        for at in &self.parameters {
            let Norms { norm, least, largest, .. } = at.gradient.norms;
            let mut row = vec![at.name.clone(), at.values.norms.count.to_string(), shown(at.values.norms.norm)];
            row.extend([norm, least, largest].map(shown));
            row.extend(at.updated.as_ref().map(|updated| shown(updated.norms.norm)));
            rows.push(row);
        }
        rows
    }

    fn write_norms(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Forward and backward, {}: norms, since each number would be too much", self.batch())?;
        f.write_str(&columns(&self.step_norms(), 3))?;
        writeln!(f, "\n  {}: J = {}", self.loss.name, shown(self.loss.value))?;
        if let Some(update) = &self.update {
            writeln!(f, "  Update by {}, η = {}", update.optimizer, shown(update.learning_rate))?;
        }
        writeln!(f)?;
        f.write_str(&columns(&self.parameter_norms(), 1))
    }

    /// Whether a number is another one that was handed on as it is, under the name that it has there.
    pub(crate) fn is_handed_on(&self, number: Number) -> bool {
        match number {
            Number::Gradient { node, .. } => self.nodes.get(node).is_some_and(|node| node.readers.len() == 1),
            Number::ParameterGradient { parameter, .. } => {
                self.parameters.get(parameter).is_some_and(|at| at.steps.len() == 1 && !at.frozen)
            }
            _ => false,
        }
    }
}

impl Parameter {
    /// The places of its numbers in the order of their symbols.
    pub(crate) fn order(&self) -> Vec<usize> {
        let count = self.values.numbers.len();
        match self.shape.axes() {
            &[rows, columns] if self.transposed && count > 0 && rows * columns == count => {
                (0..columns).flat_map(|j| (0..rows).map(move |i| i * columns + j)).collect()
            }
            _ => (0..count).collect(),
        }
    }
}
