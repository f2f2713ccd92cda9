// Alerts. Each one's description says what to do first and names its section of the runbook, docs/runbook.md#<name>.
// The queries read the app's log lines (recording/telemetry/log.py): an event name, a space, its fields as JSON, and
// nothing behind them. A rule with dimensions fires once for each value of them: the email lists them, and its subject
// has the first.

param location string
param tags object
@minLength(13)
param token string
param insightsId string

@description('The Log Analytics workspace. There the lines are in AppTraces; Application Insights shows the same rows as traces.')
param workspaceId string

@description('The system topic of the ACS resource.')
param eventTopicId string

@description('Compare the recordings that ACS reports with those that were archived. Not possible with the 2021 preview API, whose file events have no recording id.')
param reconciles bool

@description('Number of hours after its end at which a recording of ACS counts as missing: RISK_HOURS before its deadline. At most 40, because an alert covers two days.')
@minValue(1)
@maxValue(40)
param missingAfterHours int

param emails string[]
param silenceHours int

@description('Address of the runbook, or empty.')
param runbookUrl string

var runbook = empty(runbookUrl) ? 'Runbook: docs/runbook.md, section ' : '${runbookUrl}#'

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-recordings-${token}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'recordings'
    enabled: true
    emailReceivers: [for (email, index) in emails: {
      name: 'email-${index}'
      emailAddress: email
      useCommonAlertSchema: true
    }]
  }
}

type queryRule = {
  name: string
  severity: int
  frequency: string
  window: string

  @description('How far back the query looks, where that is further than the window.')
  range: string?
  threshold: int
  dimensions: string[]
  advice: string
  query: string
}

var insightsRules queryRule[] = [
  {
    name: 'recording-not-protected'
    severity: 2
    frequency: 'PT30M'
    window: 'PT1H'
    threshold: 0
    // One alert: an archive that refuses one recording mostly refuses each of them.
    dimensions: []
    advice: 'The archive refuses a legal hold or a policy on recordings whose facts say that they are held or kept. The app deletes none of them; others who may write there could. The reason in the log says what is missing.'
    query: '''
traces
| where message startswith "recording.not_protected " or message startswith "retention.not_noted "
    or message startswith "retention.unknown_class "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| summarize lines = count(), latest = max(timestamp), recordingKey = take_any(tostring(fields.recordingKey)), recordingId = take_any(tostring(fields.recordingId)) by reason = tostring(fields.reason)
'''
  }
  {
    name: 'recording-lost'
    severity: 0
    frequency: 'PT5M'
    window: 'PT15M'
    threshold: 0
    dimensions: ['recordingKey']
    advice: 'A chunk was not proved to be in your storage when ACS deleted it, or a whole recording was never announced. Read the reason in the manifest, and inform the owners of the call.'
    query: '''
traces
| where message startswith "chunk.lost " or message startswith "chunk.unproved " or message startswith "recording.absent "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, recordingKey = tostring(fields.recordingKey), documentId = tostring(fields.documentId), reason = tostring(fields.reason)
'''
  }
  {
    name: 'recording-at-risk'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    threshold: 0
    dimensions: ['recordingKey']
    advice: 'A chunk is close to its deadline or past it, and not safe. Its reason says why; the app keeps trying until an attempt after its expiry has failed.'
    query: '''
traces
| where message startswith "chunk.at_risk "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, recordingKey = tostring(fields.recordingKey), documentId = tostring(fields.documentId), hoursLeft = todouble(fields.hoursLeft), reason = tostring(fields.reason)
'''
  }
  {
    name: 'recording-not-announced'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    threshold: 0
    dimensions: ['recordingId']
    advice: 'A recording was stopped, and no file event has announced it. Check the Event Grid subscription, then ask ACS support while its files are still there.'
    query: '''
traces
| where message startswith "recording.not_announced "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, recordingId = tostring(fields.recordingId), conversationId = tostring(fields.conversationId), stoppedAt = todatetime(fields.stoppedAt)
'''
  }
  {
    name: 'no-events'
    severity: 1
    frequency: 'PT30M'
    window: 'PT30M'
    range: 'P2D'
    threshold: 0
    dimensions: []
    advice: 'Recordings were started, and no file event has arrived since. Check the Event Grid subscription before ACS deletes what was recorded.'
    query: replace('''
let announced = toscalar(traces | where message startswith "recording.announced " | summarize max(timestamp));
traces
| where message startswith "recording.start "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| where toint(fields.status) between (200 .. 299)
| where timestamp < ago({hours}h) and timestamp > coalesce(announced, datetime(2000-01-01))
| summarize started = count(), first = min(timestamp)
| where started > 0
''', '{hours}', string(silenceHours))
  }
  {
    name: 'timer-silent'
    severity: 1
    frequency: 'PT15M'
    window: 'PT30M'
    range: 'P2D'
    threshold: 0
    dimensions: []
    advice: 'The app runs, and its archive timer has not completed a run for half an hour: nothing is requeued, or queued to be archived. Check that the app starts.'
    // Fires only after a function has run: between provisioning and the first deployment there is no timer.
    query: '''
let ran = toscalar(traces | where timestamp > ago(30m) and message startswith "archive.ran " | count);
requests
| where name in ("archive_recordings", "receive_event", "take_events", "ingest_chunk", "ingest_bulk", "archive_recording", "health")
| where timestamp < ago(30m) and ran == 0
| summarize invocations = count(), latest = max(timestamp)
| where invocations > 0
'''
  }
  {
    name: 'timer-failed'
    severity: 2
    frequency: 'PT15M'
    window: 'PT30M'
    threshold: 2
    dimensions: []
    advice: 'The archive timer failed three times, and has not completed a run since. Read the exception; chunks are still ingested meanwhile.'
    // A run that was killed by a deployment or by scale-in also counts as failed; the next one completes.
    query: '''
let ran = toscalar(traces | where message startswith "archive.ran " | summarize max(timestamp));
requests
| where name == "archive_recordings" and success == false
| where timestamp > coalesce(ran, datetime(2000-01-01))
| project timestamp, resultCode
'''
  }
  {
    name: 'recording-not-archived'
    severity: 2
    frequency: 'PT15M'
    window: 'PT1H'
    threshold: 2
    dimensions: ['recordingKey']
    advice: 'The archive of a recording failed three times in an hour. Other recordings are not delayed.'
    query: '''
traces
| where message startswith "recording.not_archived "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, recordingKey = tostring(fields.recordingKey), reason = tostring(fields.reason)
'''
  }
  {
    name: 'stops-not-checked'
    severity: 2
    frequency: 'PT15M'
    window: 'PT1H'
    threshold: 2
    dimensions: []
    advice: 'Three runs of the timer within an hour could not find out which stopped recordings no event has announced: of such a recording there is no alert until one can.'
    query: '''
traces
| where message startswith "endings.not_swept "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, reason = tostring(fields.reason)
'''
  }
  {
    name: 'poison-message'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    threshold: 0
    dimensions: []
    advice: 'A chunk, an event, the archive or the erasure of a recording, or a joined file failed five times in a row. The timer tries it again, a joined file is made when it is asked for again; find the cause.'
    query: '''
traces
| where message startswith "event.not_taken "
    or (message startswith "Message has reached MaxDequeueCount"
        and (message contains "recording-chunks-poison" or message contains "recording-bulk-poison"
            or message contains "recording-events-poison" or message contains "recording-archive-poison"
            or message contains "recording-erasures-poison"
            or message contains "recording-join-poison" or message contains "recording-holds-poison"
            or message contains "recording-export-poison"))
'''
  }
  {
    name: 'event-quarantined'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    threshold: 0
    dimensions: ['blob']
    advice: 'An event could not be parsed. Read it in the quarantine container: it may announce a recording that is not being fetched.'
    query: '''
traces
| where message startswith "event.quarantined "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, blob = tostring(fields.blob), reasons = tostring(fields.reasons)
'''
  }
  {
    name: 'recording-start-failed'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    threshold: 0
    dimensions: ['recordingId', 'serverCallId']
    advice: 'ACS accepted a start and then could not record. The app does not start it again: if the call is still in progress, start the recording again.'
    query: '''
traces
| where message startswith "recording.start_failed "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, recordingId = tostring(fields.recordingId), serverCallId = tostring(fields.serverCallId), code = toint(fields.code), subCode = toint(fields.subCode), reason = tostring(fields.message)
'''
  }
  {
    name: 'chunk-not-complete'
    severity: 2
    frequency: 'PT15M'
    window: 'PT1H'
    threshold: 0
    dimensions: ['recordingKey']
    advice: 'A chunk is archived as ACS delivered it, and its bytes are not complete media, or its metadata file is missing. A source that is not complete is kept: play it, and ask ACS support while ACS still has the document.'
    query: '''
traces
| where message startswith "chunk.not_complete " or message startswith "chunk.no_metadata_file "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, recordingKey = tostring(fields.recordingKey), documentId = tostring(fields.documentId), verdict = tostring(fields.verdict), reason = tostring(fields.reason)
'''
  }
  {
    name: 'event-derived'
    severity: 3
    frequency: 'PT15M'
    window: 'PT1H'
    threshold: 0
    // One alert: if ACS has changed its events, each of them is such.
    dimensions: []
    advice: 'An event lacked something or said something unknown, and the app derived it from the rest. Nothing is lost. Read the notes: if more and more events are such, ACS has changed them.'
    query: '''
traces
| where message startswith "event.derived "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| summarize events = count(), latest = max(timestamp), recordingKey = take_any(tostring(fields.recordingKey)) by notes = tostring(fields.notes)
'''
  }
  {
    name: 'source-not-deleted'
    severity: 3
    frequency: 'PT15M'
    window: 'PT1H'
    threshold: 2
    dimensions: ['recordingKey']
    advice: 'A chunk that is safe in the archive could not be deleted at ACS in three runs. Nothing is lost; ACS deletes it itself at its deadline.'
    query: '''
traces
| where message startswith "source.not_deleted "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, recordingKey = tostring(fields.recordingKey), documentId = tostring(fields.documentId), reason = tostring(fields.reason)
'''
  }
  {
    name: 'erasure-not-done'
    severity: 2
    frequency: 'PT15M'
    window: 'PT1H'
    threshold: 0
    dimensions: ['erasure']
    advice: 'An erasure was refused when its time had come, is not done six hours later, or meets a hold: what was erased has come again under another key that is on hold. Somebody has asked for it and must get an answer: lift the hold and ask again, or remove the cause; the timer tries again.'
    query: '''
traces
| where message startswith "erasure.not_done " or message startswith "erasure.refused "
    or message startswith "recording.held_and_erased "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, erasure = coalesce(tostring(fields.erasure), tostring(fields.recordingKey)), reason = tostring(fields.reason)
'''
  }
  {
    name: 'recording-refused'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    threshold: 0
    dimensions: ['conversationId']
    advice: 'AUTO_RECORD could not start a recording, and will not try again for that call. If the call is still in progress, start the recording by hand.'
    query: '''
traces
| where message startswith "auto_record.refused "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, conversationId = tostring(fields.conversationId), eventId = tostring(fields.eventId), reason = tostring(fields.reason)
'''
  }
  {
    name: 'recording-without-consent'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    threshold: 0
    dimensions: ['recordingId']
    advice: 'A recording goes on although consent was withdrawn and could not be paused, or it is archived with participants who had not granted any. Pause what goes on; the manifest names who is not covered.'
    query: '''
traces
| where message startswith "consent.not_paused " or message startswith "recording.uncovered "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, recordingId = tostring(fields.recordingId), recordingKey = tostring(fields.recordingKey), participants = toint(fields.participants), next = tostring(fields.next)
'''
  }
]

// Both tables are in the workspace only. Recording ids come with or without padding. An end that is calculated without
// the pauses is early, never late; a row may be hours late. A log line is never older than the end, so within 44 of the
// 48 hours that an alert covers, every line is still there.
var missing queryRule = {
  name: 'recording-missing'
  severity: 1
  frequency: 'PT30M'
  window: 'PT30M'
  range: 'P2D'
  threshold: 0
  dimensions: ['recordingId']
  advice: 'ACS reports a recording that is not in the archive, or not with all of its chunks, and will delete it in a few hours. Fetch it before then.'
  query: replace('''
let archived = AppTraces
| where Message startswith "recording.archived "
| extend fields = parse_json(substring(Message, indexof(Message, "{")))
| summarize archivedChunks = max(tolong(fields.chunks) - coalesce(tolong(fields.missing), 0)) by id = trim_end("=+", tostring(fields.recordingId));
let exported = AppTraces
| where Message startswith "recording.exported "
| extend fields = parse_json(substring(Message, indexof(Message, "{")))
| mv-expand document = fields.documentIds
| summarize exportedChunks = dcount(tostring(document)) by id = trim_end("=+", tostring(fields.recordingId));
ACSCallRecordingSummary
| extend ended = coalesce(RecordingStartTime + RecordingLength * 1s, TimeGenerated)
| extend ready = iff(ended < TimeGenerated, ended, TimeGenerated)
| summarize chunks = max(ChunkCount), ready = min(ready), endReason = take_any(RecordingEndReason) by recordingId = RecordingId
| extend id = trim_end("=+", recordingId)
| join kind=leftouter archived on id
| join kind=leftouter exported on id
| extend safe = coalesce(archivedChunks, 0) + coalesce(exportedChunks, 0)
| where safe < chunks and ready between (ago(44h) .. ago({hours}h))
| project recordingId = tostring(recordingId), chunks, safe, ready, endReason
''', '{hours}', string(missingAfterHours))
}

var queryRules = concat(insightsRules, reconciles ? [missing] : [])

resource fromLogs 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [for rule in queryRules: {
  name: '${rule.name}-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: rule.name
    description: '${rule.advice} ${runbook}${rule.name}'
    severity: rule.severity
    enabled: true
    scopes: [
      rule.name == missing.name ? workspaceId : insightsId
    ]
    evaluationFrequency: rule.frequency
    windowSize: rule.window
    overrideQueryTimeRange: rule.?range
    autoMitigate: true
    // A first deployment has no telemetry to check a query against.
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: rule.query
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: rule.threshold
          dimensions: map(rule.dimensions, name => {
            name: name
            operator: 'Include'
            values: [
              '*'
            ]
          })
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        people.id
      ]
      // Custom properties do not appear in an email; its subject does.
      actionProperties: empty(rule.dimensions) ? {} : {
        'Email.Subject': '${rule.name}: \${data.alertContext.condition.allOf[0].dimensions[0].value}'
      }
    }
  }
}]

var metricRules = [
  {
    name: 'delivery-failing'
    metric: 'DeliveryAttemptFailCount'
    severity: 2
    threshold: 3
    advice: 'Event Grid cannot deliver events to the app. It retries for hours, at growing intervals; a recording whose event arrives late has less time left.'
  }
  {
    name: 'event-dead-lettered'
    metric: 'DeadLetteredCount'
    severity: 1
    threshold: 0
    advice: 'Event Grid has stopped delivering an event. Its recording is not fetched until the event is replayed.'
  }
  {
    name: 'event-dropped'
    metric: 'DroppedEventCount'
    severity: 0
    threshold: 0
    advice: 'Event Grid has stopped delivering an event and could not dead-letter it: the app will never learn of its recording.'
  }
]

resource fromMetrics 'Microsoft.Insights/metricAlerts@2026-01-01' = [for rule in metricRules: {
  name: '${rule.name}-${token}'
  location: 'global'
  tags: tags
  properties: {
    description: '${rule.advice} ${runbook}${rule.name}'
    severity: rule.severity
    enabled: true
    scopes: [
      eventTopicId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: rule.metric
          metricNamespace: 'Microsoft.EventGrid/systemTopics'
          metricName: rule.metric
          timeAggregation: 'Total'
          operator: 'GreaterThan'
          threshold: rule.threshold
          // An existing topic may have other subscriptions, whose failures do not count (subscriptions.bicep).
          dimensions: [
            {
              name: 'EventSubscriptionName'
              operator: 'Include'
              values: [
                'recording-files'
              ]
            }
          ]
        }
      ]
    }
    actions: [
      {
        actionGroupId: people.id
      }
    ]
  }
}]
