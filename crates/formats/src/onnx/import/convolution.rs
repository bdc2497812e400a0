//! Layers of channels: convolutions, pools, normalisations and interpolation.

use std::rc::Rc;

use downhill_layers::{
    AveragePool1d, AveragePool2d, BatchNorm, Conv1d, Conv2d, ConvTranspose2d, Description, GlobalAveragePool,
    GroupNorm, InstanceNorm, Interpolation, LayerNorm, MaxPool1d, MaxPool2d, PadMode, RmsNorm, Upsample,
};

use super::constant::{Const, axis_of};
use super::elementwise::Biased;
use super::node::Operator;
use super::plan::Numbers;
use super::view::{Atom, View};
use super::{Importer, Value, known, optional, view};

/// Windows along the spatial axes.
struct Windows {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    pads: Vec<[usize; 2]>,
}

impl Windows {
    /// The length of an axis that a window spans.
    fn span(&self, axis: usize) -> usize {
        let at = |numbers: &[usize]| numbers.get(axis).copied().unwrap_or(1);
        at(&self.kernel).saturating_sub(1).saturating_mul(at(&self.dilations)).saturating_add(1)
    }
}

fn pair(numbers: &[usize]) -> [usize; 2] {
    match numbers {
        [rows, columns] => [*rows, *columns],
        [one] => [1, *one],
        _ => [1, 1],
    }
}

impl<'a> Importer<'a> {
    /// Reads layers of channels; `None` for other operators.
    pub(super) fn convolutions(
        &mut self,
        node: &Operator<'a>,
        inputs: &[Option<Value>],
    ) -> Result<Option<Vec<Value>>, String> {
        let value = match node.kind() {
            "Conv" => self.convolution(node, inputs)?,
            "ConvTranspose" => self.transposed_convolution(node, inputs)?,
            "MaxPool" => self.max_pool(node, inputs)?,
            "AveragePool" => self.average_pool(node, inputs)?,
            "GlobalAveragePool" => {
                let (x, lead, shape) = self.example(&view(inputs, 0)?)?;
                let y = self.plan.place(GlobalAveragePool, &[x])?;
                let pooled: Vec<usize> =
                    shape.iter().enumerate().map(|(axis, &n)| if axis == 0 { n } else { 1 }).collect();
                Self::with_lead(y, &lead, &pooled)
            }
            "GlobalMaxPool" => {
                let x = view(inputs, 0)?;
                let parts: Vec<usize> = (2..x.rank()).flat_map(|axis| x.axes(axis)).collect();
                self.largest(&x, &parts)?
            }
            "BatchNormalization" => self.batch_norm(node, inputs)?,
            "InstanceNormalization" => {
                let (x, lead, shape) = self.example(&view(inputs, 0)?)?;
                let numbers = self.weight_and_bias(inputs)?;
                let layer = InstanceNorm::new().epsilon(node.float("epsilon", 1e-5)?).affine();
                Self::with_lead(self.plan.place_with(layer, &[x], numbers, false)?, &lead, &shape)
            }
            "GroupNormalization" => {
                let (x, lead, shape) = self.example(&view(inputs, 0)?)?;
                let groups = usize::try_from(node.int("num_groups", 1)?).unwrap_or_default();
                let channels = shape.first().copied().unwrap_or(1);
                let mut numbers = self.weight_and_bias(inputs)?;
                for numbers in &mut numbers {
                    // Once one for each group, later one for each channel.
                    if numbers.values.data.len() == groups && groups != channels && groups > 0 {
                        let each = |channel: usize| numbers.values.data.real(channel / (channels / groups).max(1));
                        self.budget.take(channels)?;
                        numbers.values = Rc::new(Const::reals(vec![channels], (0..channels).map(each).collect()));
                    }
                }
                let layer = GroupNorm::new(groups).epsilon(node.float("epsilon", 1e-5)?);
                Self::with_lead(self.plan.place_with(layer, &[x], numbers, false)?, &lead, &shape)
            }
            "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization" => {
                let x = view(inputs, 0)?;
                let axis = axis_of(node.int("axis", -1)?, x.rank())?;
                let scale = known(inputs, 1)?;
                let bias = optional(inputs, 2)?;
                let centred = node.kind() == "LayerNormalization";
                self.layer_norm(&x, axis, node.float("epsilon", 1e-5)?, Some(&scale), bias.as_ref(), centred)?
            }
            "Resize" | "Upsample" => self.resize(node, inputs)?,
            _ => return Ok(None),
        };
        Ok(Some(vec![Value::View(value)]))
    }

    /// One example as a value of the file's axes but the first, which is the batch, or 1; and that axis.
    fn example(&mut self, x: &View) -> Result<(usize, Vec<Atom>, Vec<usize>), String> {
        let lead = x.dim(0).to_vec();
        if x.rank() < 2 || lead.iter().any(|&atom| atom != Atom::Batch) || (lead.is_empty() && x.has_batch()) {
            return Err("its first axis must be the batch, and nothing else".into());
        }
        let x = self.plan.canonical(x)?;
        let shape: Vec<usize> = (1..x.rank()).map(|axis| x.product(&x.axes(axis))).collect();
        Ok((self.plan.shaped(x.value, &shape)?, lead, shape))
    }

    /// The view of a value of one example, with this first axis before it.
    fn with_lead(value: usize, lead: &[Atom], shape: &[usize]) -> View {
        let mut view = View::plain(value, false, shape);
        view.dims.insert(0, lead.to_vec());
        view
    }

    fn weight_and_bias(&mut self, inputs: &[Option<Value>]) -> Result<Vec<Numbers>, String> {
        let (weight, bias) = (known(inputs, 1)?, known(inputs, 2)?);
        Ok(vec![Numbers::new("weight", &self.parameter(&weight)?), Numbers::new("bias", &self.parameter(&bias)?)])
    }

    /// The windows of an operator over axes of these lengths.
    fn windows(&self, node: &Operator<'_>, lengths: &[usize], kernel: Option<&[usize]>) -> Result<Windows, String> {
        let count = lengths.len();
        if !(1..=2).contains(&count) {
            return Err(format!("it has {count} spatial axes; layers have one or two"));
        }
        let kernel = match kernel {
            Some(kernel) => kernel.to_vec(),
            None => node.sizes("kernel_shape", count, 0)?,
        };
        let strides = node.sizes("strides", count, 1)?;
        let dilations = node.sizes("dilations", count, 1)?;
        let mut windows = Windows { kernel, strides, dilations, pads: vec![[0; 2]; count] };
        let given = node.sizes("pads", 2 * count, 0)?;
        let (before, behind) = given.split_at(count);
        for axis in 0..count {
            let at = |numbers: &[usize]| numbers.get(axis).copied().unwrap_or_default();
            let pad = match node.text("auto_pad", "NOTSET")? {
                "NOTSET" | "" => [at(before), at(behind)],
                "VALID" => [0, 0],
                same @ ("SAME_UPPER" | "SAME_LOWER") => {
                    let (length, stride) = (at(lengths), at(&windows.strides).max(1));
                    let reach = length.div_ceil(stride).saturating_sub(1).saturating_mul(stride);
                    let all = reach.saturating_add(windows.span(axis)).saturating_sub(length);
                    let (less, more) = (all / 2, all - all / 2);
                    if same == "SAME_UPPER" { [less, more] } else { [more, less] }
                }
                other => return Err(format!("its padding `{other}` is not known")),
            };
            windows.pads.iter_mut().skip(axis).take(1).for_each(|at| *at = pad);
        }
        Ok(windows)
    }

    fn convolution(&mut self, node: &Operator<'_>, inputs: &[Option<Value>]) -> Result<View, String> {
        let (x, lead, shape) = self.example(&view(inputs, 0)?)?;
        let weight = known(inputs, 1)?;
        let (Some(&outputs), Some(spatial)) = (weight.shape.first(), weight.shape.get(2..)) else {
            return Err("its weight has too few axes".into());
        };
        let lengths = shape.get(1..).unwrap_or_default();
        if lengths.len() != spatial.len() {
            return Err(format!("its input has {} spatial axes, its kernel {}", lengths.len(), spatial.len()));
        }
        let windows = self.windows(node, lengths, Some(spatial))?;
        let groups = usize::try_from(node.int("group", 1)?).unwrap_or_default();
        let layer = |bias: bool| -> Description {
            if let (&[kernel], &[stride], &[dilation], &[pads]) =
                (spatial, &windows.strides[..], &windows.dilations[..], &windows.pads[..])
            {
                let layer = Conv1d::new(outputs, kernel).stride(stride).dilation(dilation).groups(groups).padding(pads);
                return if bias { layer } else { layer.no_bias() }.into();
            }
            let pads = [0, 1].map(|axis| windows.pads.get(axis).copied().unwrap_or_default());
            let layer = Conv2d::new(outputs, pair(spatial))
                .stride(pair(&windows.strides))
                .dilation(pair(&windows.dilations))
                .groups(groups)
                .padding(pads);
            if bias { layer } else { layer.no_bias() }.into()
        };
        let numbers = vec![Numbers::new("weight", &self.parameter(&weight)?)];
        let value = self.with_bias(x, layer, numbers, optional(inputs, 2)?, outputs)?;
        Ok(Self::with_lead(value, &lead, self.plan.shape(value).axes()))
    }

    /// Places a layer of channels with a bias, if there is one; otherwise one can still be added.
    fn with_bias(
        &mut self,
        x: usize,
        layer: impl Fn(bool) -> Description,
        numbers: Vec<Numbers>,
        bias: Option<Rc<Const>>,
        outputs: usize,
    ) -> Result<usize, String> {
        let all = match &bias {
            None => numbers.clone(),
            Some(bias) => {
                let bias = self.parameter(bias)?;
                [&numbers[..], &[Numbers::new("bias", &bias)]].concat()
            }
        };
        let value = self.plan.place_with(layer(bias.is_some()), &[x], all, false)?;
        let bias = bias.map(|bias| bias.real_numbers(&mut self.budget)).transpose()?;
        let biased = Biased { layer: layer(true), inputs: vec![x], numbers, name: "bias", bias, outputs, first: true };
        self.biased.insert(value, biased);
        Ok(value)
    }

    fn transposed_convolution(&mut self, node: &Operator<'_>, inputs: &[Option<Value>]) -> Result<View, String> {
        let (x, lead, shape) = self.example(&view(inputs, 0)?)?;
        let weight = known(inputs, 1)?;
        let (Some(&each), Some(spatial)) = (weight.shape.get(1), weight.shape.get(2..)) else {
            return Err("its weight has too few axes".into());
        };
        let lengths = shape.get(1..).unwrap_or_default();
        let count = lengths.len();
        if count != spatial.len() {
            return Err(format!("its input has {count} spatial axes, its kernel {}", spatial.len()));
        }
        let windows = self.windows(node, lengths, Some(spatial))?;
        let groups = usize::try_from(node.int("group", 1)?).unwrap_or_default();
        let outputs = each.checked_mul(groups).ok_or("it has too many outputs")?;
        let mut output_padding = node.sizes("output_padding", count, 0)?;
        let wanted = node.ints("output_shape")?.filter(|shape| !shape.is_empty());
        let same = node.text("auto_pad", "NOTSET")?;
        // All rows and columns are made, and those of the padding cut off afterwards, unless the layer can leave as
        // many out on both sides.
        let at = |numbers: &[usize], axis: usize, default| numbers.get(axis).copied().unwrap_or(default);
        let mut cuts = Vec::new();
        for axis in 0..count {
            let stride = at(&windows.strides, axis, 1);
            let whole =
                at(lengths, axis, 1).saturating_sub(1).saturating_mul(stride).saturating_add(windows.span(axis));
            let mut more = at(&output_padding, axis, 0);
            let target = match &wanted {
                // With the batch and the channels, or without.
                Some(shape) => shape.get(shape.len().saturating_sub(count) + axis).copied(),
                None if same.starts_with("SAME") => Some(at(lengths, axis, 1).saturating_mul(stride) as i64),
                None => None,
            };
            let cut = match target {
                None => windows.pads.get(axis).copied().unwrap_or_default(),
                Some(target) => {
                    let target = usize::try_from(target).map_err(|_| "its output has no such shape")?;
                    if target > whole.saturating_add(more) {
                        more = target - whole;
                        output_padding.iter_mut().skip(axis).take(1).for_each(|at| *at = more);
                    }
                    let all = whole.saturating_add(more) - target;
                    let (less, rest) = (all / 2, all - all / 2);
                    if same == "SAME_UPPER" { [less, rest] } else { [rest, less] }
                }
            };
            cuts.push(cut);
        }
        let even: Vec<usize> = cuts.iter().map(|&[before, behind]| before.min(behind)).collect();
        let even = if cuts.iter().all(|&[before, behind]| before == behind) { even } else { vec![0; count] };
        let image = if let &[channels, length] = &shape[..] { vec![channels, 1, length] } else { shape.clone() };
        let x = self.plan.shaped(x, &image)?;
        let zero_for_one = |numbers: &[usize]| if let &[one] = numbers { [0, one] } else { pair(numbers) };
        let layer = |bias: bool| -> Description {
            let layer = ConvTranspose2d::new(outputs, pair(spatial))
                .stride(pair(&windows.strides))
                .dilation(pair(&windows.dilations))
                .padding(zero_for_one(&even))
                .output_padding(zero_for_one(&output_padding))
                .groups(groups);
            if bias { layer } else { layer.no_bias() }.into()
        };
        let numbers = vec![Numbers::new("weight", &self.parameter(&weight)?)];
        let value = self.with_bias(x, layer, numbers, optional(inputs, 2)?, outputs)?;
        let mut y = Self::with_lead(value, &lead, self.plan.shape(value).axes());
        if count == 1 {
            y.dims.remove(2);
        }
        if even.iter().all(|&cut| cut == 0) {
            for (axis, &[before, behind]) in cuts.iter().enumerate() {
                let length = y.length(axis + 2, self.batch);
                let count = length.checked_sub(before.saturating_add(behind)).ok_or("its padding leaves nothing")?;
                y = self.keep(&y, axis + 2, super::node::Run { start: before, step: 1, count })?;
            }
        }
        Ok(y)
    }

    fn max_pool(&mut self, node: &Operator<'_>, inputs: &[Option<Value>]) -> Result<View, String> {
        let mut x = view(inputs, 0)?;
        let lengths: Vec<usize> = (2..x.rank()).map(|axis| x.length(axis, self.batch)).collect();
        let mut windows = self.windows(node, &lengths, None)?;
        let ceil = node.int("ceil_mode", 0)? != 0;
        let even = self.even_pads(&windows, ceil);
        if !even {
            for (axis, pads) in windows.pads.iter().enumerate() {
                // Never the largest.
                x = self.pad(&x, axis + 2, *pads, &PadMode::Constant(f64::NEG_INFINITY))?;
            }
            windows.pads.fill([0; 2]);
        }
        let (value, lead, _) = self.example(&x)?;
        let pads: Vec<usize> = windows.pads.iter().map(|pads| pads[0]).collect();
        let value = match (&windows.kernel[..], &pads[..]) {
            (&[kernel], &[pad]) => {
                let layer = MaxPool1d::new(kernel).padding(pad);
                let layer = layer.stride(pair(&windows.strides)[1]).dilation(pair(&windows.dilations)[1]);
                self.plan.place(if ceil { layer.ceil_mode() } else { layer }, &[value])?
            }
            _ => {
                let layer = MaxPool2d::new(pair(&windows.kernel)).padding(pair(&pads));
                let layer = layer.stride(pair(&windows.strides)).dilation(pair(&windows.dilations));
                self.plan.place(if ceil { layer.ceil_mode() } else { layer }, &[value])?
            }
        };
        Ok(Self::with_lead(value, &lead, self.plan.shape(value).axes()))
    }

    /// Whether the layers of pools can pad as these windows do.
    fn even_pads(&self, windows: &Windows, ceil: bool) -> bool {
        let both = windows.pads.iter().zip(&windows.kernel);
        let ceil = ceil && windows.dilations.iter().any(|&dilation| dilation > 1);
        !ceil && both.into_iter().all(|(&[before, behind], &kernel)| before == behind && before <= kernel / 2)
    }

    fn average_pool(&mut self, node: &Operator<'_>, inputs: &[Option<Value>]) -> Result<View, String> {
        let x = view(inputs, 0)?;
        let lengths: Vec<usize> = (2..x.rank()).map(|axis| x.length(axis, self.batch)).collect();
        let windows = self.windows(node, &lengths, None)?;
        let ceil = node.int("ceil_mode", 0)? != 0;
        let counts_padding = node.int("count_include_pad", 0)? != 0;
        let dilated = windows.dilations.iter().any(|&dilation| dilation > 1);
        if !dilated && self.even_pads(&windows, ceil) {
            let (value, lead, _) = self.example(&x)?;
            let pads: Vec<usize> = windows.pads.iter().map(|pads| pads[0]).collect();
            let value = match (&windows.kernel[..], &pads[..]) {
                (&[kernel], &[pad]) => {
                    let layer = AveragePool1d::new(kernel).stride(pair(&windows.strides)[1]).padding(pad);
                    let layer = if counts_padding { layer } else { layer.exclude_padding() };
                    self.plan.place(if ceil { layer.ceil_mode() } else { layer }, &[value])?
                }
                _ => {
                    let layer = AveragePool2d::new(pair(&windows.kernel));
                    let layer = layer.stride(pair(&windows.strides)).padding(pair(&pads));
                    let layer = if counts_padding { layer } else { layer.exclude_padding() };
                    self.plan.place(if ceil { layer.ceil_mode() } else { layer }, &[value])?
                }
            };
            return Ok(Self::with_lead(value, &lead, self.plan.shape(value).axes()));
        }
        self.sums_of_windows(&x, &windows, &lengths, ceil, counts_padding)
    }

    /// Means of windows as a depthwise convolution of ones, divided by how many numbers there are in each window.
    fn sums_of_windows(
        &mut self,
        x: &View,
        windows: &Windows,
        lengths: &[usize],
        ceil: bool,
        counts_padding: bool,
    ) -> Result<View, String> {
        let (value, lead, shape) = self.example(x)?;
        let channels = shape.first().copied().unwrap_or(1);
        let image = if let &[channels, length] = &shape[..] { vec![channels, 1, length] } else { shape.clone() };
        let value = self.plan.shaped(value, &image)?;
        let mut pads = Vec::new();
        let mut counts: Vec<Vec<f64>> = Vec::new();
        for (axis, &length) in lengths.iter().enumerate() {
            let at = |numbers: &[usize]| numbers.get(axis).copied().unwrap_or(1);
            let (stride, dilation) = (at(&windows.strides).max(1), at(&windows.dilations));
            let [before, behind] = windows.pads.get(axis).copied().unwrap_or_default();
            let padded = length.saturating_add(before).saturating_add(behind);
            let rest = padded.checked_sub(windows.span(axis)).ok_or("its window is larger than its input")?;
            let mut count = rest / stride + 1;
            if ceil && rest % stride > 0 && count.saturating_mul(stride) < length.saturating_add(before) {
                count += 1;
            }
            let reach = (count - 1).saturating_mul(stride).saturating_add(windows.span(axis));
            pads.push([before, behind.saturating_add(reach.saturating_sub(padded))]);
            self.budget.take(count.saturating_mul(at(&windows.kernel)))?;
            let inside = |at: usize| {
                if counts_padding { at < padded } else { (before..before.saturating_add(length)).contains(&at) }
            };
            let taps = |window: usize| (0..at(&windows.kernel)).map(move |tap| window * stride + tap * dilation);
            counts.push((0..count).map(|window| taps(window).filter(|&at| inside(at)).count() as f64).collect());
        }
        let pads = match pads[..] {
            [one] => [[0; 2], one],
            [rows, columns] => [rows, columns],
            _ => return Err("it has too many spatial axes".into()),
        };
        let kernel = pair(&windows.kernel);
        let layer = Conv2d::new(channels, kernel)
            .stride(pair(&windows.strides))
            .dilation(pair(&windows.dilations))
            .padding(pads)
            .groups(channels)
            .no_bias();
        let taps = kernel.iter().try_fold(channels, |all, &n| all.checked_mul(n)).ok_or("its windows are too large")?;
        let numbers = vec![super::elementwise::constant("weight", taps, 1.0)];
        let value = self.plan.place_with(layer, &[value], numbers, true)?;
        let mut y = Self::with_lead(value, &lead, self.plan.shape(value).axes());
        if lengths.len() == 1 {
            y.dims.remove(2);
        }
        let grid: Vec<f64> = match &counts[..] {
            [along] => along.iter().map(|n| 1.0 / n).collect(),
            [down, across] => down.iter().flat_map(|d| across.iter().map(move |a| 1.0 / (d * a))).collect(),
            _ => Vec::new(),
        };
        let shape = counts.iter().map(Vec::len).collect();
        self.multiply(&y, &Const::reals(shape, grid), true)
    }

    fn batch_norm(&mut self, node: &Operator<'_>, inputs: &[Option<Value>]) -> Result<View, String> {
        if node.int("training_mode", 0)? != 0 || node.int("spatial", 1)? == 0 {
            return Err("only its evaluation by channels is a layer".into());
        }
        let (x, lead, shape) = self.example(&view(inputs, 0)?)?;
        let mut numbers = Vec::new();
        for (index, name) in (1..).zip(["weight", "bias", "running_mean", "running_var"]) {
            let values = known(inputs, index)?;
            numbers.push(Numbers::new(name, &self.parameter(&values)?));
        }
        let momentum = 1.0 - node.float("momentum", 0.9)?;
        let layer = BatchNorm::new().epsilon(node.float("epsilon", 1e-5)?).momentum(momentum.clamp(0.0, 1.0));
        Ok(Self::with_lead(self.plan.place_with(layer, &[x], numbers, false)?, &lead, &shape))
    }

    /// Normalises over the axes from this one on, and scales and shifts if there is something to scale and shift by.
    pub(super) fn layer_norm(
        &mut self,
        x: &View,
        axis: usize,
        epsilon: f64,
        scale: Option<&Rc<Const>>,
        bias: Option<&Rc<Const>>,
        centred: bool,
    ) -> Result<View, String> {
        if (axis..x.rank()).any(|axis| x.dim(axis).contains(&Atom::Batch)) {
            return Err("it works along the batch, so that examples would depend on each other".into());
        }
        let shape: Vec<usize> = (axis..x.rank()).map(|axis| x.length(axis, self.batch)).collect();
        let parts: Vec<usize> = (axis..x.rank()).flat_map(|axis| x.axes(axis)).collect();
        let mut x = self.rows(x, &parts)?;
        let mut numbers = Vec::new();
        for (name, values) in [("weight", scale), ("bias", bias)] {
            if let Some(values) = values {
                let whole = values.expand(&shape)?;
                let whole = if whole.shape == values.shape { Rc::clone(values) } else { Rc::new(whole) };
                numbers.push(Numbers::new(name, &self.parameter(&whole)?));
            }
        }
        let layer: Description = match (centred, scale.is_some(), bias.is_some()) {
            (true, true, true) => LayerNorm::new().epsilon(epsilon).into(),
            (true, true, false) => LayerNorm::new().epsilon(epsilon).no_bias().into(),
            (true, false, false) => LayerNorm::new().epsilon(epsilon).no_affine().into(),
            (false, true, false) => RmsNorm::new().epsilon(epsilon).into(),
            (false, false, false) => RmsNorm::new().epsilon(epsilon).no_affine().into(),
            _ => return Err("it has a bias that the layer has not".into()),
        };
        x.value = self.plan.place_with(layer, &[x.value], numbers, false)?;
        Ok(x)
    }

    fn resize(&mut self, node: &Operator<'_>, inputs: &[Option<Value>]) -> Result<View, String> {
        let x = view(inputs, 0)?;
        let rank = x.rank();
        // Upsample has its factors second, or as an attribute; Resize has a region before them.
        let (scales_at, sizes_at) =
            if node.kind() == "Upsample" || node.version < 11 { (1, usize::MAX) } else { (2, 3) };
        let numbers = |value: Option<Rc<Const>>| value.filter(|value| value.data.len() > 0);
        let sizes = numbers(optional(inputs, sizes_at)?);
        let scales = match numbers(optional(inputs, scales_at)?) {
            Some(scales) => Some(scales.real_numbers(&mut self.budget)?),
            None => node.floats("scales")?,
        };
        let axes: Vec<usize> = match node.ints("axes")? {
            Some(axes) => axes.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<_, _>>()?,
            None => (0..rank).collect(),
        };
        if node.text("keep_aspect_ratio_policy", "stretch")? != "stretch" || node.int("antialias", 0)? != 0 {
            return Err("only plain interpolation is a layer".into());
        }
        let mut factors = vec![1.0; rank];
        let mut targets: Vec<usize> = (0..rank).map(|axis| x.length(axis, self.batch)).collect();
        match (&sizes, &scales) {
            (Some(sizes), _) => {
                let sizes = sizes.whole_numbers(&mut self.budget)?;
                for (&axis, &size) in axes.iter().zip(&sizes) {
                    let size = usize::try_from(size).map_err(|_| format!("an axis can't have the length {size}"))?;
                    let length = x.length(axis, self.batch);
                    targets.iter_mut().skip(axis).take(1).for_each(|at| *at = size);
                    factors.iter_mut().skip(axis).take(1).for_each(|at| *at = size as f64 / length as f64);
                }
            }
            (None, Some(scales)) => {
                for (&axis, &scale) in axes.iter().zip(scales) {
                    factors.iter_mut().skip(axis).take(1).for_each(|at| *at = scale);
                }
            }
            (None, None) => return Err("it has neither factors nor sizes".into()),
        }
        let (spatial, rest) = match (&factors[..], rank) {
            (&[first, second, ref spatial @ ..], 3 | 4) => (spatial.to_vec(), [first, second]),
            _ => return Err("only images and signals of channels are resized".into()),
        };
        if rest != [1.0, 1.0] {
            return Err("it changes the batch or the channels".into());
        }
        let default = if node.kind() == "Upsample" || node.version < 11 { "asymmetric" } else { "half_pixel" };
        let lengths: Vec<usize> = (2..rank).map(|axis| x.length(axis, self.batch)).collect();
        let whole = spatial.iter().all(|factor| *factor >= 1.0 && factor.fract() == 0.0);
        let place = node.text("coordinate_transformation_mode", default)?;
        let rounding = if node.version < 11 { "floor" } else { node.text("nearest_mode", "round_prefer_floor")? };
        let interpolation = match (node.text("mode", "nearest")?, place) {
            ("nearest", "asymmetric") if rounding == "floor" => Interpolation::Nearest,
            // Where each number is repeated, these come to the same.
            ("nearest", "half_pixel" | "pytorch_half_pixel" | "half_pixel_symmetric")
                if whole && rounding.starts_with("round_prefer") =>
            {
                Interpolation::Nearest
            }
            ("linear" | "bilinear", "half_pixel" | "half_pixel_symmetric") if place == "half_pixel" || whole => {
                Interpolation::Bilinear
            }
            ("linear" | "bilinear", "pytorch_half_pixel")
                if targets.iter().skip(2).zip(&spatial).all(|(&n, f)| sizes.is_none() || n > 1 || *f == 1.0) =>
            {
                Interpolation::Bilinear
            }
            ("linear" | "bilinear", "align_corners")
                if sizes.is_some() || spatial.iter().zip(&lengths).all(|(f, &n)| (f * n as f64).fract() == 0.0) =>
            {
                Interpolation::BilinearAlignedCorners
            }
            (mode, place) => {
                return Err(format!("interpolation of the mode `{mode}`, `{place}`, `{rounding}` is in no layer"));
            }
        };
        let (value, lead, shape) = self.example(&x)?;
        let image = if let &[channels, length] = &shape[..] { vec![channels, 1, length] } else { shape.clone() };
        let value = self.plan.shaped(value, &image)?;
        let layer = match (&sizes, &spatial[..], targets.get(2..).unwrap_or_default()) {
            (Some(_), _, &[columns]) => Upsample::to_size([1, columns]),
            (Some(_), _, &[rows, columns]) => Upsample::to_size([rows, columns]),
            (None, &[across], _) => Upsample::new([1.0, across]),
            (None, &[down, across], _) => Upsample::new([down, across]),
            _ => return Err("only images and signals of channels are resized".into()),
        };
        let value = self.plan.place(layer.interpolation(interpolation), &[value])?;
        let mut y = Self::with_lead(value, &lead, self.plan.shape(value).axes());
        if rank == 3 {
            y.dims.remove(2);
        }
        Ok(y)
    }
}
