// What a text that somebody pastes into the search most likely is.

import assert from "node:assert/strict";
import { test } from "node:test";

import { kindOf } from "../../recording/page/kinds.js";

const KINDS = {
  "20261124T140211000000Z-3f2b0e4c-0000-4000-8000-00000000000f": "recordingKey",
  "3f2b0e4c-0000-4000-8000-00000000000f": "call",
  "+49 (30) 123-456": "participant",
  "0049 30 123456": "participant",
  "030/123456": "participant",
  "(030) 123456": "participant",
  "4:+4930123456": "participant",
  "4:20261180": "participant",
  "8:acs:5f1d0f6e-1111-4000-8000-000000000001_ada": "participant",
  "eyJQbGF0Zm9ybUVuZHBvaW50SWQiOiI3ZjQyIiwiUmVzb3VyY2VTcGVjaWZpY0lkIjoiIn0": "recordingId",
  "eyJQbGF0Zm9ybUVuZHBvaW50SWQiOiI3ZjQyIiwiUmVzb3VyY2VTcGVjaWZpY0lkIjoiIn0=": "recordingId",
  "room:99000000": "conversation",
  "aHR0cHM6Ly9jb252LXVzc2MtMDIuY29udi5za3lwZS5jb20vY29udi9BQkM": "conversation",
  "aHR0cHM6Ly9jb252LXVzc2MtMDIuY29udi5za3lwZS5jb20vY29udi9BQkM=": "conversation",
  "A-2026-118": "reference",
  "118": "reference",
  "2026-118": "reference",
  "118/2026": "reference",
  "20261180": "reference",
  "<img src=x>": "reference",
};

for (const [text, kind] of Object.entries(KINDS)) test(`${text} is a ${kind}`, () => assert.equal(kindOf(text), kind));
