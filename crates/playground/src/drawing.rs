//! Drawings of digits: what a pen leaves on a page, and what the network sees of it.

use crate::Error;

/// The side of the picture that a page sends.
pub(crate) const CANVAS: usize = 64;
/// The side of the picture that the network reads.
pub(crate) const SIDE: usize = 8;
/// Each pixel that the network reads counts the ink in a square of this side, as in the data.
const CELL: usize = 4;

/// The pixels of a drawing, 255 for ink: a round pen of this radius goes from point to point of each stroke, as on the page.
#[must_use]
pub fn drawing(strokes: &[Vec<[f64; 2]>], radius: f64) -> Vec<u8> {
    let is_near = |[x, y]: [f64; 2], [ax, ay]: [f64; 2], [bx, by]: [f64; 2]| {
        let (dx, dy) = (bx - ax, by - ay);
        // The nearest point of the line lies this part of the way from a to b.
        let part = ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy).max(f64::MIN_POSITIVE);
        let part = part.clamp(0.0, 1.0);
        (x - ax - part * dx).hypot(y - ay - part * dy) <= radius
    };
    let ink = (0..CANVAS * CANVAS).map(|at| {
        let pixel = [(at % CANVAS) as f64 + 0.5, (at / CANVAS) as f64 + 0.5];
        let mut lines = strokes.iter().flat_map(|points| points.windows(2));
        if lines.any(|line| is_near(pixel, line[0], line[1])) { 255 } else { 0 }
    });
    ink.collect()
}

/// What the network sees of a drawing, as the digits of the data were made: cut out, made 32 pixels large and black or
/// white, and then the ink counted in squares of 4 pixels. `None` if there is no ink.
///
/// # Errors
/// Returns an error if the drawing has another number of pixels than 64 × 64.
pub fn seen(ink: &[u8]) -> Result<Option<Vec<f32>>, Error> {
    if ink.len() != CANVAS * CANVAS {
        return Err(Error::new("A drawing has {canvas}x{canvas} pixels, but this has {count}.")
            .with("canvas", CANVAS)
            .with("count", ink.len()));
    }
    let inked = |x: usize, y: usize| ink.get(y * CANVAS + x).is_some_and(|&pixel| pixel >= 96);
    let columns: Vec<usize> = (0..CANVAS).filter(|&x| (0..CANVAS).any(|y| inked(x, y))).collect();
    let rows: Vec<usize> = (0..CANVAS).filter(|&y| (0..CANVAS).any(|x| inked(x, y))).collect();
    let (Some((&left, &right)), Some((&top, &bottom))) =
        (columns.first().zip(columns.last()), rows.first().zip(rows.last()))
    else {
        return Ok(None);
    };
    let side = (right - left + 1).max(bottom - top + 1) as f64;
    let (middle_x, middle_y) = ((left + right + 1) as f64 / 2.0, (top + bottom + 1) as f64 / 2.0);
    let large = SIDE * CELL;
    let mut image = vec![0.0_f32; SIDE * SIDE];
    for y in 0..large {
        for x in 0..large {
            let along = |place: usize, middle: f64| middle + side * ((place as f64 + 0.5) / large as f64 - 0.5);
            let (from_x, from_y) = (along(x, middle_x), along(y, middle_y));
            if from_x >= 0.0 && from_y >= 0.0 && inked(from_x as usize, from_y as usize) && from_x < CANVAS as f64 {
                image[y / CELL * SIDE + x / CELL] += 1.0 / (CELL * CELL) as f32;
            }
        }
    }
    Ok(Some(image))
}
