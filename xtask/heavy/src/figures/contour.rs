//! Lines along which a function of two variables has one value.

use std::collections::BTreeMap;

/// How many cells the plane is cut into along each axis.
const CELLS: usize = 240;

/// A rectangle of the plane: from and to along each axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) x: (f64, f64),
    pub(super) y: (f64, f64),
}

/// An edge of the grid: the grid point it starts from, and whether it goes along x.
type Edge = (usize, usize, bool);

/// The lines in `window` where `f` is `level`, by marching squares.
pub(super) fn contour(window: Window, level: f64, f: impl Fn(f64, f64) -> f64) -> Vec<Vec<(f64, f64)>> {
    let at = |(from, to): (f64, f64), index: usize| from + (to - from) * index as f64 / CELLS as f64;
    let values: Vec<Vec<f64>> =
        (0..=CELLS).map(|i| (0..=CELLS).map(|j| f(at(window.x, i), at(window.y, j)) - level).collect()).collect();
    // Each edge that the line crosses joins at most two cells, so lines can be followed from edge to edge.
    let mut neighbours: BTreeMap<Edge, Vec<Edge>> = BTreeMap::new();
    for i in 0..CELLS {
        for j in 0..CELLS {
            let corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)].map(|(i, j)| values[i][j] > 0.0);
            let edges = [(i, j, true), (i + 1, j, false), (i, j + 1, true), (i, j, false)];
            let crossed: Vec<Edge> =
                (0..4).filter(|&side| corners[side] != corners[(side + 1) % 4]).map(|side| edges[side]).collect();
            for pair in crossed.chunks_exact(2) {
                neighbours.entry(pair[0]).or_default().push(pair[1]);
                neighbours.entry(pair[1]).or_default().push(pair[0]);
            }
        }
    }
    let place = |&(i, j, along_x): &Edge| {
        let (i1, j1) = if along_x { (i + 1, j) } else { (i, j + 1) };
        let (from, to) = (values[i][j], values[i1][j1]);
        let part = from / (from - to);
        let mix = |axis, a: usize, b: usize| at(axis, a) + part * (at(axis, b) - at(axis, a));
        (mix(window.x, i, i1), mix(window.y, j, j1))
    };
    let mut lines = Vec::new();
    // Open lines first, from their ends; what is left is closed.
    while let Some(start) = neighbours
        .iter()
        .find(|(_, next)| next.len() == 1)
        .or_else(|| neighbours.iter().find(|(_, next)| !next.is_empty()))
        .map(|(&edge, _)| edge)
    {
        let mut line = vec![place(&start)];
        let mut edge = start;
        while let Some(next) = neighbours.get_mut(&edge).and_then(Vec::pop) {
            if let Some(back) = neighbours.get_mut(&next)
                && let Some(index) = back.iter().position(|&other| other == edge)
            {
                back.remove(index);
            }
            line.push(place(&next));
            edge = next;
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { x: (-2.0, 2.0), y: (-2.0, 2.0) };

    #[test]
    fn a_bowl_has_one_closed_line() {
        let lines = contour(WINDOW, 1.0, |x, y| x * x + y * y);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].first(), lines[0].last());
        assert!(lines[0].len() > 100);
        assert!(lines[0].iter().all(|(x, y)| (x.hypot(*y) - 1.0).abs() < 1e-3));
    }

    #[test]
    fn a_slope_has_one_open_line() {
        let lines = contour(WINDOW, 0.37, |x, _| x);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].len(), CELLS + 1);
        assert!(lines[0].iter().all(|(x, _)| (x - 0.37).abs() < 1e-12));
    }

    #[test]
    fn a_saddle_has_two_branches() {
        assert_eq!(contour(WINDOW, 1.0, |x, y| x * x - y * y).len(), 2);
    }
}
