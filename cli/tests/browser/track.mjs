/**
 * A vehicle that is not there: laps on a small race track, as LEADS would tell of them. Everything follows from the time,
 * so that each run shows the same.
 */

const LAP_S = 58;
const ORIGIN = { latitude: 50.332, longitude: 6.9475 };
const DEGREE_M = 111_195;

/** The state at `s` seconds after the start, with `t` as the vehicle's clock. */
export function frame(s, t) {
  const here = place(s);
  const speed = speedAt(s);
  const ahead = speedAt(s + 0.05);
  const forward = ((ahead - speed) / 3.6 / 0.05) * 1;
  const turn = (place(s + 0.2).heading - place(s - 0.2).heading) / 0.4;
  const throttle = Math.max(0, Math.min(1, 0.35 + forward * 0.22));
  const brake = Math.max(0, Math.min(1, -forward * 0.28 - 0.05));
  const power = throttle * 2900 + 120;
  return {
    t,
    speed: round(speed, 2),
    front_wheel_speed: round(speed * (1 + 0.004 * Math.sin(s * 7)), 2),
    rear_wheel_speed: round(speed * (1 + 0.02 * throttle + 0.004 * Math.sin(s * 9)), 2),
    mileage: round(12.4 + s * 0.0097, 4),
    voltage: round(50.6 - power * 0.00042 - s * 0.0006 + 0.02 * Math.sin(s * 11), 3),
    current: round(power / 49.5, 2),
    throttle: round(throttle, 3),
    brake: round(brake, 3),
    steering_position: round(Math.max(-1, Math.min(1, turn * 1.1)), 3),
    forward_acceleration: round(forward, 3),
    lateral_acceleration: round((speed / 3.6) * turn * 0.35, 3),
    vertical_acceleration: round(9.81 + 0.18 * Math.sin(s * 23) + 0.1 * Math.sin(s * 41), 3),
    yaw: round(((here.heading * 180) / Math.PI + 360) % 360, 1),
    gps: {
      valid: true,
      latitude: round(ORIGIN.latitude + here.y / DEGREE_M, 7),
      longitude: round(ORIGIN.longitude + here.x / DEGREE_M / Math.cos((ORIGIN.latitude * Math.PI) / 180), 7),
      ground_speed: round(speed * 0.997, 2),
    },
    motor: { rpm: Math.round(speed * 41), temperature: round(41 + 6 * Math.sin(s / 40) + 3 * throttle, 1) },
    lap: 1 + Math.floor(s / LAP_S),
    lap_time: round(s % LAP_S, 2),
    dtcs: true,
    abs: brake > 0.6,
    hazard: false,
  };
}

/** Metres east and north, and the heading in radians, clockwise from north. */
function place(s) {
  const at = (s) => {
    const angle = (s / LAP_S) * 2 * Math.PI + 0.18 * Math.sin((s / LAP_S) * 4 * Math.PI);
    return {
      x: 150 * Math.cos(angle) + 34 * Math.cos(2 * angle + 0.8) + 14 * Math.cos(3 * angle),
      y: 88 * Math.sin(angle) + 30 * Math.sin(2 * angle + 0.3) - 12 * Math.sin(3 * angle),
    };
  };
  const [before, here, after] = [at(s - 0.05), at(s), at(s + 0.05)];
  return { ...here, heading: Math.atan2(after.x - before.x, after.y - before.y) };
}

function speedAt(s) {
  const phase = (s / LAP_S) * 2 * Math.PI;
  return 36 + 11 * Math.sin(3 * phase + 0.6) + 5.5 * Math.sin(5 * phase) + 2 * Math.sin(11 * phase + 1);
}

function round(number, digits) {
  return Number(number.toFixed(digits));
}
