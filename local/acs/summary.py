"""The rows of ``ACSCallRecordingSummary``: what ACS itself reports to Azure Monitor of each recording that it made.

Columns and values are those of https://learn.microsoft.com/azure/azure-monitor/reference/tables/acscallrecordingsummary
and of the samples in https://learn.microsoft.com/azure/communication-services/concepts/analytics/logs/recording-logs,
which says that a row is published once the recording is ready to be downloaded, whether its file event arrives or not.
Whether recordings of the 2021 preview API have a row is documented nowhere; here they do.
"""

from typing import Any

from local.acs.clock import timestamp
from local.acs.entities import Recording

TABLE = "ACSCallRecordingSummary"
_CONTENT = {"audio": "Audio Only", "audioVideo": "Audio - Video"}


def row(recording: Recording) -> dict[str, Any] | None:
    """Return the row of a recording, by column; None while its media isn't ready."""
    if recording.reported is None:
        return None
    kind = recording.format
    return {
        "TimeGenerated": timestamp(recording.reported),
        "OperationName": "RecordingSummary",
        "CorrelationId": recording.call.call_id,
        "ResultType": "Succeeded",
        "Level": "Informational",
        "RecordingId": recording.recording_id,
        "RecordingEndReason": recording.session_end_reason,
        "RecordingStartTime": timestamp(recording.start),
        "RecordingLength": round(sum(chunk.duration_ms for chunk in recording.chunks) / 1000, 2),
        "ChunkCount": len(recording.chunks),
        "ContentType": _CONTENT[kind.content_type],
        "ChannelType": kind.channel_type,
        "FormatType": kind.format_type,
        "AudioChannelsCount": len(kind.channels) or 1,
    }
