// Values come from the azd environment: outputs of main.bicep, and what `azd env set` has set. None is a secret, except
// functionAddress. The template refuses an empty value by the name of its variable.
using './subscriptions.bicep'

param topicName = readEnvironmentVariable('EVENTS_TOPIC_NAME', '')
param functionAppId = readEnvironmentVariable('FUNCTION_APP_ID', '')
param deadLetterAccountId = readEnvironmentVariable('STORAGE_ACCOUNT_ID', '')
param deadLetterContainer = readEnvironmentVariable('DEAD_LETTER_CONTAINER', '')
param eventGridIdentityId = readEnvironmentVariable('EVENTS_IDENTITY_ID', '')
param eventTimeToLiveInMinutes = int(readEnvironmentVariable('EVENT_MINUTES_TO_LIVE', '720'))

// Only for docs/deploy-upgrade.md#subscribing-failed. It contains a key, which `azd env set` would store in a file.
param functionAddress = readEnvironmentVariable('FUNCTION_ADDRESS', '')
param subscribeByAddress = !empty(readEnvironmentVariable('FUNCTION_ADDRESS', ''))
