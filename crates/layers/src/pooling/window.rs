use std::ops::Range;

use downhill_tensor::BuildError;

/// The windows along one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) dilation: usize,
    pub(super) ceil_mode: bool,
}

/// The windows over an axis of known length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    window: Window,
    /// The length of the axis.
    input: usize,
    /// The number of windows.
    count: usize,
}

/// The longest kernel along one axis: a window of two axes has a size that can be counted.
const LARGEST_KERNEL: usize = 1 << (usize::BITS / 2 - 1);

impl Window {
    /// The window of an axis that is not pooled over.
    pub(super) const ONE: Self = Self { kernel: 1, stride: 1, padding: 0, dilation: 1, ceil_mode: false };

    /// The number of windows over an axis of this length.
    ///
    /// # Errors
    /// Returns an error if the settings are out of range, the window does not fit, or one would hold nothing but
    /// padding.
    pub(super) fn count(self, layer: &'static str, input: usize) -> Result<usize, BuildError> {
        let Self { kernel, stride, padding, dilation, ceil_mode } = self;
        if kernel == 0 || stride == 0 || dilation == 0 {
            return refuse!(
                layer,
                "the kernel, the stride and the dilation must be at least 1, but are {kernel}, {stride} and {dilation}"
            );
        }
        if kernel > LARGEST_KERNEL {
            return refuse!(layer, "a kernel may be {LARGEST_KERNEL} long at most, but is {kernel}");
        }
        if padding > kernel / 2 {
            return refuse!(
                layer,
                "the padding may be half of the kernel at most, but is {padding} for a kernel of {kernel}"
            );
        }
        let extent = (kernel - 1).checked_mul(dilation).and_then(|extent| extent.checked_add(1));
        let padded = padding.checked_mul(2).and_then(|both| both.checked_add(input));
        let (Some(extent), Some(padded)) = (extent, padded) else {
            return refuse!(layer, "a kernel of {kernel} with a dilation of {dilation} is too large");
        };
        // A window may hang over the end by less than a stride.
        let over = if ceil_mode { stride - 1 } else { 0 };
        let Some(rest) = padded.saturating_add(over).checked_sub(extent) else {
            return refuse!(
                layer,
                "a window spans {extent} (kernel {kernel}, dilation {dilation}), but an axis of {input} with a padding \
                 of {padding} on both sides has only {padded}; take a smaller kernel"
            );
        };
        let mut count = 1 + rest / stride;
        // A window that would begin in the padding behind the input is left out.
        if ceil_mode && (count - 1).saturating_mul(stride) >= input + padding {
            count -= 1;
        }
        let windows = self.over(input, count);
        // Only a window that begins in the padding before the input can miss it, by a dilation longer than the input.
        let missing = if dilation > input { count.min(padding.div_ceil(stride)) } else { 0 };
        if let Some(empty) = (0..missing).find(|&index| windows.taps(index).is_empty()) {
            return refuse!(
                layer,
                "window {empty} over an axis of {input} would hold nothing but padding (kernel {kernel}, stride \
                 {stride}, padding {padding}, dilation {dilation}); take a smaller dilation or padding"
            );
        }
        Ok(count)
    }

    /// The `count` windows over an axis of this length, once they have been counted.
    pub(super) fn over(self, input: usize, count: usize) -> Windows {
        Windows { window: self, input, count }
    }
}

impl Windows {
    pub(super) fn input(self) -> usize {
        self.input
    }

    pub(super) fn count(self) -> usize {
        self.count
    }

    pub(super) fn kernel(self) -> usize {
        self.window.kernel
    }

    /// The places of a window's kernel that lie within the input.
    #[inline(always)]
    pub(super) fn taps(self, index: usize) -> Range<usize> {
        let Window { kernel, stride, padding, dilation, .. } = self.window;
        // Without dilation, which is the rule, nothing is divided.
        let steps = |distance: usize| if dilation == 1 { distance } else { distance.div_ceil(dilation) };
        let start = index * stride; // counted from where the padding begins
        steps(padding.saturating_sub(start))..steps((padding + self.input).saturating_sub(start)).min(kernel)
    }

    /// The place in the input of a place in a window's kernel.
    #[inline(always)]
    pub(super) fn position(self, index: usize, tap: usize) -> usize {
        index * self.window.stride + tap * self.window.dilation - self.window.padding
    }

    /// The length of a window within the input and its padding; for windows without dilation.
    #[inline(always)]
    pub(super) fn padded(self, index: usize) -> usize {
        let Window { kernel, stride, padding, .. } = self.window;
        (self.input + 2 * padding - index * stride).min(kernel)
    }

    /// Whether each window is the next two numbers, none in the padding: the case with its own loops.
    pub(super) fn are_pairs(self) -> bool {
        let Window { kernel, stride, padding, dilation, .. } = self.window;
        (kernel, stride, padding, dilation) == (2, 2, 0, 1) && 2 * self.count <= self.input
    }
}
