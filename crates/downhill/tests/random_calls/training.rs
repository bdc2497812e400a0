//! Losses, trainers and evaluations on networks and data of any kind.

use crate::draw::Draw;

pub(crate) fn scene(draw: &mut Draw) {
    draw.note("nothing yet");
}
