//! The picture: what is shown depends on the room there is.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, LineGauge};

use super::curve::Curve;
use super::state::State;

const TRAINING: Color = Color::Cyan;
const VALIDATION: Color = Color::Yellow;
const STEPS: Color = Color::DarkGray;
const METRICS: [Color; 4] = [Color::Green, Color::Magenta, Color::Blue, Color::Red];

/// The fewest rows that a chart needs for two of curves: a title, an axis and its labels are the others.
const CHART_ROWS: u16 = 5;
/// The fewest columns of two charts side by side.
const TWO_CHARTS: u16 = 60;

/// Draws the run, with the latest of the warnings.
pub(crate) fn draw(frame: &mut Frame<'_>, state: &State, warnings: &[String], now: Duration) {
    let area = frame.area();
    let width = area.width;
    let mut lines = vec![title(state, width)];
    lines.push(numbers(speed(state), width));
    lines.push(numbers(times(state, now), width));
    if let Some(values) = values(state, width) {
        lines.push(values);
    }
    // Where rows are few, the steps in the title must do for the epoch.
    let epoch = state.part_of_epoch().filter(|_| area.height >= 16);
    let gauges = [epoch.map(|part| ("epoch", part)), Some(("run", state.part_of_run()))];
    let gauges: Vec<_> = gauges.into_iter().flatten().collect();
    let most_warnings = if area.height >= 20 { 3 } else { 1 };
    let warnings: Vec<&String> = warnings.iter().rev().take(most_warnings).rev().collect();
    let foot = Line::styled(
        if state.is_stopping {
            "stops after this step; Ctrl-C ends the program"
        } else {
            "q or Ctrl-C: stop after the step"
        },
        Style::new().fg(Color::DarkGray),
    );

    // Lines from the top, and the curves if enough rows are left.
    let mut rows = Rows { area, used: 0 };
    let rest = (lines.len() + gauges.len() + warnings.len()) as u16;
    let charts = area.height.saturating_sub(rest + 1);
    let mut lines = lines.into_iter();
    if let (Some(line), Some(row)) = (lines.next(), rows.take(1)) {
        frame.render_widget(line, row);
    }
    if charts >= CHART_ROWS
        && let Some(area) = rows.take(charts)
    {
        draw_charts(frame, state, area);
    }
    for (name, part) in gauges {
        if let Some(row) = rows.take(1) {
            let gauge = LineGauge::default().filled_symbol("━").unfilled_symbol("─");
            let gauge = gauge.ratio(part.clamp(0.0, 1.0)).filled_style(Style::new().fg(TRAINING));
            frame.render_widget(gauge.label(format!("{name:<5} {:>3.0} %", 100.0 * part)), row);
        }
    }
    let warnings = warnings.into_iter().map(|text| Line::styled(shortened(text, width), Style::new().fg(Color::Red)));
    for line in lines.chain(warnings).chain([foot]) {
        if let Some(row) = rows.take(1) {
            frame.render_widget(line, row);
        }
    }
}

/// The rows of the screen, given away from the top.
struct Rows {
    area: Rect,
    used: u16,
}

impl Rows {
    fn take(&mut self, rows: u16) -> Option<Rect> {
        let row = Rect { y: self.area.y + self.used, height: rows, ..self.area };
        (self.used + rows <= self.area.height).then(|| {
            self.used += rows;
            row
        })
    }
}

fn title(state: &State, width: u16) -> Line<'static> {
    let epoch = (state.epochs.start + state.completed + 1).min(state.epochs.end);
    let mut parts = vec![format!("epoch {epoch} of {}", state.epochs.end)];
    parts.push(match state.steps_per_epoch {
        Some(steps) => format!("step {} of {steps}", state.steps_in_epoch),
        None => format!("step {}", state.steps_in_epoch),
    });
    numbers(parts, width).style(Style::new().add_modifier(Modifier::BOLD))
}

fn speed(state: &State) -> Vec<String> {
    let mut parts = vec![format!("rate {:.3e}", state.rate)];
    parts.extend(state.steps_per_second().map(|speed| format!("{} steps/s", short(speed))));
    parts.extend(state.examples_per_second().map(|speed| format!("{} examples/s", short(speed))));
    parts
}

fn times(state: &State, now: Duration) -> Vec<String> {
    let left = state.time_left(now).map_or("unknown".to_owned(), clock);
    vec![format!("elapsed {}", clock(now)), format!("left {left}")]
}

/// The last epoch's numbers, in the colours of their curves.
fn values(state: &State, width: u16) -> Option<Line<'static>> {
    let last = state.last.as_ref()?;
    let mut parts = vec![(format!("training {:.4}", last.training_loss), TRAINING)];
    parts.extend(last.validation_loss.map(|loss| (format!("validation {loss:.4}"), VALIDATION)));
    let metrics = last.metrics.iter().zip(METRICS.iter().cycle());
    parts.extend(metrics.map(|((name, value), &color)| (format!("{name} {value:.4}"), color)));
    Some(fitting(parts, width))
}

/// Parts in a row, as many as fit whole.
fn fitting(parts: Vec<(String, Color)>, width: u16) -> Line<'static> {
    let mut line = Line::default();
    for (text, color) in parts {
        let gap = if line.spans.is_empty() { "" } else { "  " };
        let span = Span::styled(text, Style::new().fg(color));
        if line.width() + gap.len() + span.width() > usize::from(width) {
            break;
        }
        line.push_span(gap);
        line.push_span(span);
    }
    line
}

fn numbers(parts: Vec<String>, width: u16) -> Line<'static> {
    fitting(parts.into_iter().map(|part| (part, Color::Reset)).collect(), width)
}

/// The text, or its beginning with a sign that more follows.
fn shortened(text: &str, width: u16) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut line = Span::raw(text);
    if line.width() <= usize::from(width) {
        return line.content.into_owned();
    }
    while line.width() >= usize::from(width).max(1) {
        let mut shorter = line.content.into_owned();
        shorter.pop();
        line = Span::raw(shorter);
    }
    line.content.into_owned() + "…"
}

/// Draws the losses, and beside them the metrics if there is room.
fn draw_charts(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let losses = [
        (&state.step_loss, STEPS, "batches"),
        (&state.training_loss, TRAINING, "training"),
        (&state.validation_loss, VALIDATION, "validation"),
    ];
    if state.metrics.is_empty() || area.width < TWO_CHARTS {
        return draw_chart(frame, "loss", &losses, state.steps, area);
    }
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(1).areas(area);
    draw_chart(frame, "loss", &losses, state.steps, left);
    let metrics = state.metrics.iter().zip(METRICS.iter().cycle());
    let metrics: Vec<_> = metrics.map(|((name, curve), &color)| (curve, color, name.as_str())).collect();
    draw_chart(frame, "metrics", &metrics, state.steps, right);
}

/// Draws curves over the steps; their names are in the title, which they can't cover.
fn draw_chart(frame: &mut Frame<'_>, title: &str, curves: &[(&Curve, Color, &str)], steps: u64, area: Rect) {
    let shown = || curves.iter().filter(|(curve, ..)| !curve.points().is_empty());
    let [low, high] = bounds(shown().flat_map(|(curve, ..)| curve.points()).map(|point| point.1));
    let is_logarithmic = low > 0.0 && high / low > 30.0;
    let scale = |y: f64| if is_logarithmic { y.ln() } else { y };
    let title = if is_logarithmic { format!("{title}, logarithmic:") } else { format!("{title}:") };
    let names = shown().map(|&(_, color, name)| (name.to_owned(), color));
    let names = fitting([(title, Color::Reset)].into_iter().chain(names).collect(), area.width);
    let points: Vec<(Vec<_>, Color)> = shown()
        .map(|&(curve, color, _)| (curve.points().iter().map(|&(x, y)| (x, scale(y))).collect(), color))
        .collect();
    let x = Axis::default().bounds([0.0, steps.max(1) as f64]).labels(["0".to_owned(), format!("step {steps}")]);
    let y = Axis::default().bounds([scale(low), scale(high)]).labels([short(low), short(high)]);
    let chart = Chart::new(points.iter().map(|(points, color)| line(points, *color)).collect());
    let chart = chart.block(Block::new().title_top(names)).x_axis(x).y_axis(y);
    frame.render_widget(chart.legend_position(None), area);
}

fn line(points: &[(f64, f64)], color: Color) -> Dataset<'_> {
    let dataset = Dataset::default().data(points).graph_type(GraphType::Line).marker(Marker::Braille);
    dataset.style(Style::new().fg(color))
}

/// Bounds around these numbers.
fn bounds(numbers: impl Iterator<Item = f64>) -> [f64; 2] {
    let (low, high) = numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
    if low > high {
        return [0.0, 1.0];
    }
    let middle = if low == high { 0.5 * low.abs().max(1e-300) } else { 0.0 };
    [(low - middle).max(f64::MIN / 4.0), (high + middle).min(f64::MAX / 4.0)]
}

/// A number in few characters.
fn short(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e7).contains(&size) => format!("{number:.1e}"),
        size if size < 10.0 => format!("{number:.3}"),
        size if size < 100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

/// A time such as `1:02:03`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use downhill_train::EpochRecord;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    /// The rows of a screen of this size.
    fn screen(width: u16, height: u16, state: &State, warnings: &[String]) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state, warnings, Duration::from_secs(3725))).unwrap();
        let buffer = terminal.backend().buffer();
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(row).collect()
    }

    /// Two epochs and a half of five.
    fn state() -> State {
        let mut state = State::new(0..5, &["accuracy".to_owned(), "f1".to_owned()]);
        (state.steps_per_epoch, state.examples_per_epoch) = (Some(100), Some(3200));
        state.tick(Duration::ZERO);
        for step in 0..250 {
            state.step(1.0 / f64::from(step + 1), 1e-3);
            if step % 100 == 99 {
                let mut record = EpochRecord::default();
                (record.training_loss, record.validation_loss) = (0.5 / f64::from(step), Some(0.75 / f64::from(step)));
                record.metrics = vec![("accuracy".into(), 0.9), ("f1".into(), f64::from(step) / 400.0)];
                state.epoch(&record);
            }
        }
        state.tick(Duration::from_secs(10));
        state
    }

    fn warnings() -> Vec<String> {
        (1..=5)
            .map(|i| format!("warning {i}: the gradients of the layer `0` vanish, and more that is far too long"))
            .collect()
    }

    #[test]
    fn a_usual_terminal_shows_all() {
        let rows = screen(80, 24, &state(), &warnings());
        assert_eq!(rows[0], "epoch 3 of 5  step 50 of 100");
        assert!(rows[1].starts_with("loss, logarithmic:  batches  training"), "{rows:#?}");
        assert_eq!(rows[1].find("metrics:  accuracy  f1"), Some(41), "{rows:#?}");
        let expected = [
            "rate 1.000e-3  25.0 steps/s  800 examples/s",
            "elapsed 1:02:05  left 1:02:05",
            "training 0.0025  validation 0.0038  accuracy 0.9000  f1 0.4975",
        ];
        assert_eq!(rows[17..20], expected, "{rows:#?}");
        assert!(rows[15].starts_with("epoch  50 % ") && rows[16].starts_with("run    50 % "), "{rows:#?}");
        for (row, number) in rows[20..23].iter().zip(3..) {
            assert!(row.starts_with(&format!("warning {number}: ")), "{rows:#?}");
        }
        assert!(rows[20].ends_with("too long"), "{rows:#?}");
        assert_eq!(rows[23], "q or Ctrl-C: stop after the step");
        // The curves are within their charts, with both axes labelled.
        assert!(rows[14].trim_start().starts_with('0') && rows[14].contains("step 250"), "{rows:#?}");
        assert!(rows[2..13].iter().any(|row| row.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c))), "{rows:#?}");
    }

    #[test]
    fn a_small_terminal_leaves_out_what_does_not_fit_whole() {
        let rows = screen(40, 12, &state(), &warnings());
        assert_eq!(rows[0], "epoch 3 of 5  step 50 of 100");
        assert!(
            rows[1].starts_with("loss, logarithmic:  batches  training") && rows[5].ends_with("step 250"),
            "{rows:#?}"
        );
        let text = rows.join("\n");
        for whole in
            ["rate 1.000e-3  25.0 steps/s", "elapsed 1:02:05  left 1:02:05", "training 0.0025  validation 0.0038"]
        {
            assert!(rows.iter().any(|row| row == whole), "{text}");
        }
        assert!(rows.iter().any(|row| row.starts_with("warning 5: the gradients") && row.ends_with('…')), "{text}");
        assert_eq!(rows[11], "q or Ctrl-C: stop after the step", "{text}");
    }

    #[test]
    fn no_size_and_no_state_is_too_little() {
        let states = [
            State::default(),
            State::new(0..u64::MAX, &[]),
            {
                let mut state = State::new(0..1, &["m".to_owned()]);
                let mut record = EpochRecord::default();
                (record.training_loss, record.validation_loss) = (f64::MAX, Some(f64::MIN));
                record.metrics = vec![("m".to_owned(), f64::NAN)];
                state.step(f64::INFINITY, f64::NAN);
                state.epoch(&record);
                (state.is_stopping, state.steps_per_epoch) = (true, Some(0));
                state
            },
            state(),
        ];
        let warnings = ["Ünïcödé \u{1f3c3}\u{1f3c3}\u{1f3c3} and\na second line".to_owned()];
        for state in &states {
            for width in (0..=45).chain([80, 200]) {
                for height in (0..=14).chain([24, 60]) {
                    screen(width, height, state, &warnings);
                }
            }
        }
        assert_eq!(screen(30, 1, &states[3], &[]), ["epoch 3 of 5  step 50 of 100"]);
    }

    #[test]
    fn what_is_asked_for_is_shown() {
        let mut state = state();
        state.is_stopping = true;
        assert!(screen(80, 24, &state, &[])[23].starts_with("stops after this step"));
        // A run that goes on counts on, and its last epoch is the last that is named.
        let mut state = State::new(7..8, &[]);
        assert_eq!(screen(80, 24, &state, &[])[0], "epoch 8 of 8  step 0");
        state.epoch(&EpochRecord::default());
        assert_eq!(screen(80, 24, &state, &[])[0], "epoch 8 of 8  step 0");
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.5, -12.34, 123.4, 98_765.0, 1e-5, 2.5e9];
        assert_eq!(numbers.map(short), ["0", "0.500", "-12.3", "123", "98765", "1.0e-5", "2.5e9"]);
        assert_eq!([59, 60, 3600].map(|seconds| clock(Duration::from_secs(seconds))), ["0:59", "1:00", "1:00:00"]);
    }
}
