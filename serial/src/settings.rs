//! How a serial line is set.

use std::io;
use std::time::Duration;

/// How many bits a character has on the line. Default 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CharSize {
    /// 5 bits.
    Bits5,
    /// 6 bits.
    Bits6,
    /// 7 bits.
    Bits7,
    /// 8 bits: any byte can be sent.
    #[default]
    Bits8,
}

/// The bit that is sent along with each character, so that a wrong one may be noticed. Default none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parity {
    /// None is sent.
    #[default]
    None,
    /// The number of bits that are 1 is odd.
    Odd,
    /// The number of bits that are 1 is even.
    Even,
}

/// How many bits end each character. Default one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StopBits {
    /// One.
    #[default]
    One,
    /// Two.
    Two,
}

/// How either end makes the other one wait. Default none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlowControl {
    /// Not at all: what the other end is too slow for is lost.
    #[default]
    None,
    /// By two characters (17 and 19), which messages cannot contain then.
    XonXoff,
    /// By two wires.
    RtsCts,
}

/// A character with its start bit, parity and stop bits, at most.
const BITS_PER_CHARACTER: u32 = 12;

/// All of it. Two ends understand each other only with the same settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) baud_rate: u32,
    pub(crate) char_size: CharSize,
    pub(crate) parity: Parity,
    pub(crate) stop_bits: StopBits,
    pub(crate) flow_control: FlowControl,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            baud_rate: 9600,
            char_size: CharSize::default(),
            parity: Parity::default(),
            stop_bits: StopBits::default(),
            flow_control: FlowControl::default(),
        }
    }
}

impl Settings {
    /// How long so many characters are on their way at most.
    pub(crate) fn time_for(&self, characters: u32) -> Duration {
        Duration::from_secs(1) * BITS_PER_CHARACTER * characters / self.baud_rate.max(1)
    }

    /// How many characters the line carries in a time, at least; more than none.
    pub(crate) fn characters_in(&self, time: Duration) -> usize {
        let characters = time.as_secs_f64() * f64::from(self.baud_rate / BITS_PER_CHARACTER);
        (characters as usize).max(1)
    }
}

impl serial2::IntoSettings for Settings {
    fn apply_to_settings(self, settings: &mut serial2::Settings) -> io::Result<()> {
        settings.set_raw();
        settings.set_baud_rate(self.baud_rate)?;
        settings.set_char_size(match self.char_size {
            CharSize::Bits5 => serial2::CharSize::Bits5,
            CharSize::Bits6 => serial2::CharSize::Bits6,
            CharSize::Bits7 => serial2::CharSize::Bits7,
            CharSize::Bits8 => serial2::CharSize::Bits8,
        });
        settings.set_parity(match self.parity {
            Parity::None => serial2::Parity::None,
            Parity::Odd => serial2::Parity::Odd,
            Parity::Even => serial2::Parity::Even,
        });
        settings.set_stop_bits(match self.stop_bits {
            StopBits::One => serial2::StopBits::One,
            StopBits::Two => serial2::StopBits::Two,
        });
        settings.set_flow_control(match self.flow_control {
            FlowControl::None => serial2::FlowControl::None,
            FlowControl::XonXoff => serial2::FlowControl::XonXoff,
            FlowControl::RtsCts => serial2::FlowControl::RtsCts,
        });
        Ok(())
    }
}
