// Values come from the azd environment: outputs of main.bicep, and what `azd env set` has set. None is a secret, except
// functionAddress. The template refuses an empty value by the name of its variable.
using './subscriptions.bicep'

param topicName = readEnvironmentVariable('EVENTS_TOPIC_NAME', '')
param functionAppId = readEnvironmentVariable('FUNCTION_APP_ID', '')
param deadLetterAccountId = readEnvironmentVariable('STORAGE_ACCOUNT_ID', '')
param deadLetterContainer = readEnvironmentVariable('DEAD_LETTER_CONTAINER', '')
param eventGridIdentityId = readEnvironmentVariable('EVENTS_IDENTITY_ID', '')
param eventTimeToLiveInMinutes = int(readEnvironmentVariable('EVENT_MINUTES_TO_LIVE', '720'))

// Only for docs/operations.md#subscribing-failed. It has a key: pass it to one command, don't store it with azd env set.
param functionAddress = readEnvironmentVariable('FUNCTION_ADDRESS', '')
