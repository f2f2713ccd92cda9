// What somebody searches for.

export const AS = { call: "call id", conversation: "conversation or server call id", recordingId: "recording id", recordingKey: "recording key", participant: "participant", reference: "reference" };

// What a text that somebody types or pastes most likely is.
export function kindOf(text) {
  if (/^\d{8}T\d{12}Z-[0-9A-Za-z][0-9A-Za-z-]{0,63}$/.test(text)) return "recordingKey";
  // Base64 of JSON.
  if (/^eyJ[A-Za-z0-9+/_=-]{20,}$/.test(text)) return "recordingId";
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return "call";
  // A case number may be of digits only: a phone number begins with its country's code or a zero.
  if (/^(\+|\(?0)[0-9 ()./-]{5,30}$/.test(text) || /^(4|8|28|48):\S+$/.test(text)) return "participant";
  if (/^room:\S+$/.test(text) || /^aHR0c[A-Za-z0-9+/_=-]{20,}$/.test(text)) return "conversation";
  return "reference";
}
