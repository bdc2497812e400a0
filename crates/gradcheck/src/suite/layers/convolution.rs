use downhill_layers::{Conv1d, Conv2d, ConvTranspose2d, Padding};
use downhill_tensor::Stream;

use super::{check, layers};
use crate::suite::{choose, size};

/// Groups, and the channels and outputs of each.
fn channels(s: &mut Stream) -> (usize, usize, usize) {
    let groups = choose(s, &[1, 1, 2, 3]);
    (groups, groups * size(s, 2), groups * size(s, 3))
}

/// An axis that its kernel fits: the length, the kernel, the stride, the dilation and the padding.
fn axis(s: &mut Stream) -> (usize, usize, usize, usize, [usize; 2]) {
    let (kernel, stride, dilation) = (size(s, 3), choose(s, &[1, 1, 2, 3]), choose(s, &[1, 1, 2]));
    let padding = [size(s, 3) - 1, size(s, 3) - 1];
    let least = (dilation * (kernel - 1) + 1).saturating_sub(padding[0] + padding[1]).max(1);
    (least + size(s, 3) - 1, kernel, stride, dilation, padding)
}

layers! {
    Conv1d: |s| {
        let ((groups, channels, outputs), (length, kernel, stride, dilation, sides)) = (channels(s), axis(s));
        let conv = Conv1d::new(outputs, kernel).dilation(dilation).groups(groups);
        let same = stride == 1 && choose(s, &[true, false]);
        let conv = if same { conv.padding(Padding::Same) } else { conv.padding(sides) };
        let conv = if choose(s, &[true, false]) { conv } else { conv.no_bias() };
        check(&conv.stride(stride), &[[channels, length].into()], s)
    },
    Conv2d: |s| {
        let (groups, channels, outputs) = channels(s);
        let (height, width) = (axis(s), axis(s));
        let conv = Conv2d::new(outputs, [height.1, width.1])
            .stride([height.2, width.2])
            .dilation([height.3, width.3])
            .padding([height.4, width.4])
            .groups(groups);
        let conv = if choose(s, &[true, false]) { conv } else { conv.no_bias() };
        check(&conv, &[[channels, height.0, width.0].into()], s)
    },
    ConvTranspose2d: |s| {
        let (groups, channels, outputs) = channels(s);
        let (height, width) = (axis(s), axis(s));
        // As much padding as leaves something of every kernel.
        let padding = [height, width].map(|axis| axis.4[0].min(axis.3 * (axis.1 - 1) / 2));
        let more = [height, width].map(|axis| size(s, axis.2.max(axis.3)) - 1);
        let conv = ConvTranspose2d::new(outputs, [height.1, width.1])
            .stride([height.2, width.2])
            .dilation([height.3, width.3])
            .padding(padding)
            .output_padding(more)
            .groups(groups);
        let conv = if choose(s, &[true, false]) { conv } else { conv.no_bias() };
        check(&conv, &[[channels, size(s, 3), size(s, 3)].into()], s)
    },
}
