use downhill_tensor::{Batch, Scalar};

use crate::scaler::check_rows;
use crate::{DataError, Scaler, StandardScaler};

/// A scaler that gives each channel of images the mean 0 and the standard deviation 1, over all examples and pixels:
/// x′ = (x − μ) / σ with μ and σ of the channel.
///
/// An image is (channels, height, width), as convolutions take it; whatever follows the first axis are the pixels of a
/// channel, so that sequences of (channels, steps) are scaled as well.
/// Each of its numbers is a feature of this scaler, so that it goes wherever a [`Scaler`] does.
/// μ and σ are computed as by [`StandardScaler`], and a constant channel has the scale 1.
///
/// ```
/// use downhill_data::{ChannelScaler, Dataset};
///
/// // Two images of two channels, one row and two columns.
/// let images = vec![0.0, 2.0, 10.0, 10.0, 2.0, 0.0, 30.0, 30.0];
/// let data = Dataset::new(images, [2, 1, 2], vec![0, 1])?;
/// let data = data.clone().scale_inputs(&ChannelScaler::fit(data.inputs())?)?;
/// assert_eq!(data.inputs().slice(), [-1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 1.0, 1.0]);
///
/// // The numbers that many published networks were trained with, for images of 224 by 224 pixels from 0 to 1.
/// let known = ChannelScaler::from_parts(&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225], 224 * 224)?;
/// assert_eq!(known.channels(), 3);
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct ChannelScaler {
    /// Each channel is a feature of it.
    channels: StandardScaler,
    pixels: usize,
}

impl ChannelScaler {
    /// Learns mean and standard deviation of each channel.
    ///
    /// # Shapes
    /// `images`: (examples, channels, ...).
    ///
    /// # Errors
    /// Returns an error if there are no images, they have no axis, a number is not finite, or numbers are so large that
    /// their squares overflow.
    pub fn fit<T: Scalar>(images: Batch<'_, T>) -> Result<Self, DataError> {
        let shape = images.shape();
        let channels = match shape.axes() {
            [channels, ..] if shape.len() > 0 => *channels,
            _ => return Err(DataError::ImageShape { shape }),
        };
        check_rows(images.matrix())?;
        let pixels = shape.len() / channels;
        let planes = |channel: usize| {
            let numbers = images.slice().chunks_exact(pixels).skip(channel).step_by(channels).flatten();
            numbers.map(|x| x.to_f64())
        };
        Ok(Self { channels: StandardScaler::fit_columns((0..channels).map(planes))?, pixels })
    }

    /// Creates a scaler of the known mean and scale of each channel, for images of this number of pixels in a channel.
    ///
    /// # Errors
    /// Returns an error if there are not as many scales as means, a number is not finite, a scale is not positive, or
    /// there are no pixels.
    pub fn from_parts(means: &[f64], scales: &[f64], pixels: usize) -> Result<Self, DataError> {
        let channels = StandardScaler::from_parts(means, scales)?;
        match means.len().checked_mul(pixels) {
            Some(1..) => Ok(Self { channels, pixels }),
            _ => Err(DataError::Pixels { channels: means.len(), pixels }),
        }
    }

    /// The number of channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels.features()
    }

    /// The number of pixels in a channel.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.pixels
    }

    /// The mean of each channel.
    pub fn means(&self) -> impl ExactSizeIterator<Item = f64> {
        self.channels.means()
    }

    /// The divisor of each channel: its standard deviation, 1 if it is constant.
    pub fn scales(&self) -> impl ExactSizeIterator<Item = f64> {
        self.channels.scales()
    }

    fn channel(&self, feature: usize) -> usize {
        feature.checked_div(self.pixels).unwrap_or(usize::MAX)
    }
}

impl Scaler for ChannelScaler {
    fn features(&self) -> usize {
        self.channels.features().saturating_mul(self.pixels)
    }

    fn scale(&self, feature: usize, x: f64) -> f64 {
        self.channels.scale(self.channel(feature), x)
    }

    fn unscale(&self, feature: usize, x: f64) -> f64 {
        self.channels.unscale(self.channel(feature), x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;
    use downhill_tensor::Seed;
    use ndarray::Axis;

    #[test]
    fn each_channel_is_standardised_over_images_and_pixels() {
        let mut stream = Seed(2).stream(0);
        let numbers: Vec<f64> = (0..5 * 3 * 4 * 6).map(|i| 10f64.powi(i / 24 % 3) * (stream.uniform() + 2.0)).collect();
        let set = Dataset::new(numbers.clone(), [3, 4, 6], vec![0; 5]).unwrap();
        let scaler = ChannelScaler::fit(set.inputs()).unwrap();
        assert_eq!((scaler.channels(), scaler.pixels(), scaler.features()), (3, 24, 72));
        let scaled = set.scale_inputs(&scaler).unwrap();
        for channel in scaled.inputs().images().axis_iter(Axis(1)) {
            assert!(channel.mean().unwrap().abs() < 1e-12 && (channel.std(0.0) - 1.0).abs() < 1e-12);
        }
        let mut back = scaled.inputs().matrix().to_owned();
        scaler.inverse(back.view_mut()).unwrap();
        assert!(back.iter().zip(&numbers).all(|(a, b)| (a - b).abs() < 1e-12 * b.abs()));
        let (means, scales): (Vec<f64>, Vec<f64>) = (scaler.means().collect(), scaler.scales().collect());
        assert_eq!(ChannelScaler::from_parts(&means, &scales, 24).unwrap(), scaler);
    }

    #[test]
    fn one_channel_of_one_pixel_is_a_standard_scaler() {
        let set = Dataset::new(vec![1.0, 2.0, 6.0], [1], vec![0; 3]).unwrap();
        let scaler = ChannelScaler::fit(set.inputs()).unwrap();
        let standard = StandardScaler::fit(set.inputs().matrix()).unwrap();
        assert_eq!(
            (scaler.means().next(), scaler.scales().next()),
            (standard.means().next(), standard.scales().next())
        );
    }

    #[test]
    fn what_has_no_channels_is_refused() {
        let message = |result: Result<ChannelScaler, DataError>| result.unwrap_err().to_string();
        let set = Dataset::new(vec![1.0, 2.0], [], vec![0; 2]).unwrap();
        assert!(message(ChannelScaler::fit(set.inputs())).starts_with("examples of shape"));
        assert_eq!(
            message(ChannelScaler::from_parts(&[0.0], &[1.0], 0)),
            "images of 1 channels with 0 pixels each hold nothing to scale, or more than memory does"
        );
        assert!(message(ChannelScaler::from_parts(&[], &[], 3)).contains("0 channels"));
        assert!(message(ChannelScaler::from_parts(&[0.0; 2], &[1.0; 2], usize::MAX)).contains("more than memory"));
        assert!(message(ChannelScaler::from_parts(&[0.0], &[0.0], 3)).contains("feature 0"));
    }
}
