/** The numbers of a service, as its monitor publishes them: who is connected, how they stand, and who has gone. */

import { finite, isObject, list, text } from "./json.js";

const MOST_CONNECTIONS = 200;
const MOST_DEPARTURES = 20;
const STATES = ["stopped", "slow", "live"];

/**
 * @typedef {{id: number, peer: string, state: string, policy: string, queued: number,
 *   mostQueued: number, oldestMs: number, written: number, dropped: number, conflated: number}} Connection
 * @typedef {{peer: string, agoMs: number, lastedMs: number, kind: string, reason: string}} Departure
 */

/** @returns {{at: number, name: string, count: number, connections: Connection[], departures: Departure[]}} */
export function numbers(message) {
  const connections = list(message.connections, MOST_CONNECTIONS).filter(isObject).map(connection);
  const service = isObject(message.service) ? message.service : {};
  return {
    at: finite(message.at_ms),
    name: text(message.name),
    count: Math.max(finite(service.connections, 0), connections.length),
    connections: connections.sort(worstFirst),
    departures: list(message.departures, MOST_DEPARTURES).filter(isObject).map(departure),
  };
}

/** Bytes per second that each connection has written since the numbers before, by its id. */
export function ratesOut(now, before) {
  const earlier = new Map(before?.connections.map(({ id, written }) => [id, written]));
  const seconds = (now.at - before?.at) / 1000;
  return new Map(now.connections.map(({ id, written }) => [id, (written - earlier.get(id)) / seconds]));
}

function connection(connection) {
  const traffic = isObject(connection.traffic) ? connection.traffic : {};
  const tally = (name, unit) => (isObject(traffic[name]) ? finite(traffic[name][unit], 0) : 0);
  const policy = text(connection.policy).replaceAll("_", " ");
  return {
    id: finite(connection.id),
    peer: text(connection.peer),
    state: STATES.includes(connection.state) ? connection.state : "live",
    policy: connection.conflate === true ? `${policy}, conflated` : policy,
    queued: finite(traffic.queued_bytes, 0),
    mostQueued: finite(connection.max_queued_bytes),
    oldestMs: finite(connection.oldest_ms),
    written: tally("written", "bytes"),
    dropped: tally("dropped", "messages"),
    conflated: tally("conflated", "messages"),
  };
}

function departure(departure) {
  return {
    peer: text(departure.peer),
    agoMs: finite(departure.ago_ms),
    lastedMs: finite(departure.lasted_ms),
    kind: text(departure.kind).replaceAll("_", " "),
    reason: text(departure.reason),
  };
}

function worstFirst(one, other) {
  return STATES.indexOf(one.state) - STATES.indexOf(other.state) || one.id - other.id;
}
