"""The `curl` commands for a running stack: every operation of the app, and the answers to bad input.

They work one after the other in bash or zsh; each uses variables that earlier ones have set.
"""

import shlex
from dataclasses import dataclass

from local.entra.directory import API, PAGE, PEOPLE, SECRET, SERVICES, TENANT
from local.entra.tokens import WRONG

# Neither a URL in Base64Url nor a GUID.
NO_CONVERSATION = "not-a-conversation"
CALL_LEG_EVENT = (
    '{"id":null,"topic":null,"subject":"callLeg/531f3600-481f-41c8-8a75-3e8b2e8e6200/callState",'
    '"data":{"ConversationId":null,"CallLegId":"531f3600-481f-41c8-8a75-3e8b2e8e6200","CallState":"Establishing"},'
    '"eventType":"Microsoft.Communication.CallLegStateChanged","eventTime":"2021-05-05T20:08:39.0157964Z",'
    '"metadataVersion":null,"dataVersion":null}'
)
STARTS = '"$APP/conversations/$CONVERSATION/recordings" -H "$JSON"'
RECORDING = '"$APP/conversations/$CONVERSATION/recordings/$RECORDING"'
_V1_RECORDING = RECORDING.replace("$APP/", "$APP/v1/")
# The example of RFC 7636, appendix B: a verifier, and its digest.
_VERIFIER, _CHALLENGE = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
_AUTHORIZE = (
    '"$ENTRA/oauth2/v2.0/authorize?client_id=$PAGE&response_type=code&redirect_uri=$APP/&scope=$API/access'
    f'&code_challenge={_CHALLENGE}&code_challenge_method=S256&person=$1"'
)


@dataclass(frozen=True)
class Line:
    """One step: the command, and the HTTP status that its last request gets.

    The title has no quotes: an interactive zsh would take one in a comment as the start of a string.
    """

    title: str
    command: str
    status: int | None = None


def lines(app_url: str, acs_url: str, entra_url: str) -> list[Line]:
    """Return the commands for a stack, in the order in which they work."""
    parts = (_variables(app_url, acs_url), _recording(), _by_url(), _archive(), _bad_input(), _people(entra_url))
    return [line for part in parts for line in part]


def text(app_url: str, acs_url: str, entra_url: str) -> str:
    """Format the commands for a terminal: a comment with the status, then the command."""
    parts = []
    for line in lines(app_url, acs_url, entra_url):
        status = f": {line.status}" if line.status else ""
        parts.append(f"# {line.title}{status}\n{line.command}\n")
    return "\n".join(parts)


def environment(app_url: str, acs_url: str, entra_url: str, **more: str) -> str:
    """Return shell lines for a terminal: addresses and more variables, `field`, `sign_in`, and one that waits."""
    [addresses], tenant = _variables(app_url, acs_url), _people(entra_url)[0]
    listed = 'curl -sS "$APP/recordings?$1"'
    wait = (
        "until_archived() {\n"
        f"""  for _ in $(seq 60); do {listed} | grep -q '"state": *"archived"' && break; sleep 1; done\n"""
        f"  {listed} | field state\n"
        "}"
    )
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in more.items())
    return "\n".join([addresses.command, variables, tenant.command, wait, ""])


def _variables(app_url: str, acs_url: str) -> list[Line]:
    return [
        Line(
            "addresses, and a function that reads a member of a JSON answer",
            f"APP={app_url} ACS={acs_url}\n"
            "JSON='content-type: application/json' STATUS='  HTTP %{http_code}\\n'\n"
            """field() { sed -n 's/.*"'"$1"'": *"\\([^"]*\\)".*/\\1/p'; }""",
        ),
    ]


def _recording() -> list[Line]:
    return [
        Line(
            "place a call (through the control plane of the emulator)",
            'CALL=$(curl -sSw "$STATUS" "$ACS/emulator/calls" -H "$JSON" -d \'{"participants":["Ada","Grace"]}\' '
            "| tee /dev/stderr)\n"
            'CONVERSATION=$(echo "$CALL" | field conversationId) CALL_ID=$(echo "$CALL" | field callId)',
            201,
        ),
        Line(
            "start recording",
            f'RECORDING=$(curl -sSw "$STATUS" {STARTS} -d \'{{"operationContext":"curl"}}\' '
            "| tee /dev/stderr | field recordingId)",
            200,
        ),
        Line("the state of the recording", f'curl -sSw "$STATUS" {RECORDING}', 200),
        Line("pause", f'curl -sSw "$STATUS" -X POST {_at("/pause")}', 200),
        Line("resume", f'curl -sSw "$STATUS" -X POST {_at("/resume")}', 200),
        Line(
            "move the clock of the emulator by 20 seconds",
            'curl -sSw "$STATUS" "$ACS/emulator/clock" -H "$JSON" -d \'{"advanceSeconds":20}\'',
            200,
        ),
        Line("stop", f'curl -sSw "$STATUS" -X DELETE {RECORDING}', 200),
    ]


def _by_url() -> list[Line]:
    return [
        Line(
            "place another call",
            'OTHER=$(curl -sSw "$STATUS" "$ACS/emulator/calls" -H "$JSON" -d \'{"participants":["Edsger"]}\' '
            "| tee /dev/stderr)",
            201,
        ),
        Line(
            "start recording by conversation URL, which the app encodes",
            'curl -sSw "$STATUS" "$APP/recordings" -H "$JSON" '
            '-d "{\\"conversationUrl\\":\\"$(echo "$OTHER" | field conversationUrl)\\"}"',
            200,
        ),
        Line(
            "end that call, and with it the recording",
            'curl -sSw "$STATUS" -X DELETE "$ACS/emulator/calls/$(echo "$OTHER" | field callId)"',
            200,
        ),
        Line(
            "an event of a call leg, sent as a callback",
            f'curl -sSw "$STATUS" "$APP/callbacks" -H "$JSON" -d \'{CALL_LEG_EVENT}\'',
            200,
        ),
    ]


def _archive() -> list[Line]:
    return [
        Line(
            "wait until the first recording is archived, at most one minute",
            """for _ in $(seq 60); do curl -sS "$APP/recordings" | """
            """grep -q "$CALL_ID\\", *\\"state\\": *\\"archived\\"" && break; sleep 1; done""",
        ),
        Line(
            "the recordings, newest first",
            'KEY=$(curl -sSw "$STATUS" "$APP/recordings?limit=10" | tee /dev/stderr '
            '| grep -o "[0-9]*T[0-9]*Z-$CALL_ID" | head -n 1)',
            200,
        ),
        Line("one recording: its manifest, once it is archived", 'curl -sSw "$STATUS" "$APP/recordings/$KEY"', 200),
        Line(
            "find it by somebody who took part",
            'PERSON=$(curl -sS "$APP/recordings/$KEY" | field id)\n'
            'curl -sSw "$STATUS" -G "$APP/recordings" --data-urlencode "participant=$PERSON"',
            200,
        ),
        Line(
            "find it by the operationContext of its start (events of the 2021 preview API name no start)",
            'curl -sSw "$STATUS" "$APP/recordings?reference=curl&state=archived"',
            200,
        ),
        Line(
            "read it again and compare it with its manifest",
            'curl -sSw "$STATUS" -X POST "$APP/recordings/$KEY/verify"',
            200,
        ),
        Line(
            "the media of a chunk, through a link that is valid for a few minutes",
            'curl -sSLw "$STATUS" "$APP/recordings/$KEY/chunks/0/content" -o chunk.mp4',
            200,
        ),
        Line("what the app can reach", 'curl -sSw "$STATUS" "$APP/health"', 200),
    ]


def _bad_input() -> list[Line]:
    return [
        Line("bad: malformed JSON", f'curl -sSw "$STATUS" {STARTS} -d \'{{"operationContext":\'', 400),
        Line("bad: a wrong type", f'curl -sSw "$STATUS" {STARTS} -d \'{{"operationContext":5}}\'', 400),
        Line(
            "bad: a relative callback URI",
            f'curl -sSw "$STATUS" {STARTS} -d \'{{"recordingStateCallbackUri":"/callbacks"}}\'',
            400,
        ),
        Line(
            "bad: a callback URI without https",
            f'curl -sSw "$STATUS" {STARTS} -d \'{{"recordingStateCallbackUri":"http://example.org/callbacks"}}\'',
            400,
        ),
        Line(
            "bad: an invalid conversation id",
            f'curl -sSw "$STATUS" -X POST "$APP/conversations/{NO_CONVERSATION}/recordings"',
            400,
        ),
        Line(
            "bad: an unknown recording",
            'curl -sSw "$STATUS" "$APP/conversations/$CONVERSATION/recordings/bm9zdWNo"',
            404,
        ),
        Line("bad: a cursor that is none", 'curl -sSw "$STATUS" "$APP/recordings?cursor=x"', 400),
        Line("bad: a key that is none", 'curl -sSw "$STATUS" "$APP/recordings/..%5C..%5Cx"', 400),
    ]


def _people(entra_url: str) -> list[Line]:
    """Return the commands for `/v1`: what each of the five people may do, and what nobody gets."""
    bearer = '-H "Authorization: Bearer $'
    return [
        Line(
            "the tenant of the Entra stand-in, and two functions: a person signs in, a service signs in",
            f"ENTRA={entra_url}/{TENANT} API={API} PAGE={PAGE}\n"
            "sign_in() {\n"
            f"  CODE=$(curl -sS -o /dev/null -w '%{{redirect_url}}' {_AUTHORIZE} | sed 's/.*code=//')\n"
            '  curl -sSw "$STATUS" "$ENTRA/oauth2/v2.0/token" -H "Origin: $APP" -d grant_type=authorization_code '
            f'-d "client_id=$PAGE" -d "redirect_uri=$APP/" -d "code=$CODE" -d "code_verifier={_VERIFIER}"\n'
            "}\n"
            "sign_in_service() {\n"
            '  curl -sSw "$STATUS" "$ENTRA/oauth2/v2.0/token" -d grant_type=client_credentials '
            f'-d "client_id=$1" -d "client_secret={SECRET}" -d "scope=$API/.default"\n'
            "}",
        ),
        *(
            Line(
                f"{person.name} signs in, who has the role {', '.join(person.roles)}",
                f"{login.upper()}=$(sign_in {login} | tee /dev/stderr | field access_token)",
                200,
            )
            for login, person in PEOPLE.items()
        ),
        Line(
            "the calling app signs in",
            f"SERVICE=$(sign_in_service {next(iter(SERVICES))} | tee /dev/stderr | field access_token)",
            200,
        ),
        Line("the recordings, for Ada", f'curl -sSw "$STATUS" "$APP/v1/recordings?limit=10" {bearer}ADA"', 200),
        Line("one recording, for Alan", f'curl -sSw "$STATUS" "$APP/v1/recordings/$KEY" {bearer}ALAN"', 200),
        Line(
            "links to play the media and to save it, for Ada",
            'curl -sSw "$STATUS" "$APP/v1/recordings/$KEY/links" -H "$JSON" '
            f'{bearer}ADA" -d \'{{"indexes":[0],"purpose":"play"}}\'\n'
            'SAVE=$(curl -sSw "$STATUS" "$APP/v1/recordings/$KEY/links" -H "$JSON" '
            f'{bearer}ADA" -d \'{{"indexes":[0],"purpose":"download","reason":"case 118"}}\' | tee /dev/stderr)',
            200,
        ),
        Line(
            "the file under its name, from the second of these links",
            'curl -sSw "$STATUS" -OJ "$(echo "$SAVE" | field url)"',
            200,
        ),
        Line(
            "a link to one file of all its chunks, for Ada; it is made if it is not there",
            'FILE="$APP/v1/recordings/$KEY/file?purpose=download&reason=case%20118"\n'
            f'for _ in $(seq 60); do curl -sS "$FILE" {bearer}ADA" | grep -q making || break; sleep 1; done\n'
            f'curl -sSw "$STATUS" "$FILE" {bearer}ADA"',
            200,
        ),
        Line(
            "the manifest and SHA256SUMS of its files, which sha256sum compares with them",
            "for FILE in manifest sha256sums; do\n"
            f'  curl -sSw "$STATUS" -OJ "$APP/v1/recordings/$KEY/$FILE" {bearer}ADA"\n'
            "done\n"
            'sha256sum --check "$KEY-SHA256SUMS"',
        ),
        Line(
            "who did what with the recording, for Grace",
            f'curl -sSw "$STATUS" "$APP/v1/recordings/$KEY/trail" {bearer}GRACE"',
            200,
        ),
        Line(
            "who did what today, for Grace",
            f'curl -sSw "$STATUS" "$APP/v1/trail?limit=10" {bearer}GRACE"',
            200,
        ),
        Line(
            "the other recording, as soon as it is announced",
            "for _ in $(seq 60); do\n"
            '  OTHER_KEY=$(curl -sS -G "$APP/v1/recordings" --data-urlencode "call=$(echo "$OTHER" | field callId)" '
            f"""{bearer}ALAN" | field recordingKey)\n"""
            '  [ -n "$OTHER_KEY" ] && break; sleep 1\n'
            "done\n"
            f'curl -sSw "$STATUS" "$APP/v1/recordings/$OTHER_KEY" {bearer}ALAN"',
            200,
        ),
        Line(
            "Alan asks for the erasure of the other one, which happens soon: its certificate comes below",
            'ERASED=$(curl -sSw "$STATUS" "$APP/v1/recordings/$OTHER_KEY/erase" -H "$JSON" '
            f'{bearer}ALAN" -d \'{{"reason":"recorded-by-mistake","text":"nobody was told"}}\''
            " | tee /dev/stderr | field erasureId)",
            202,
        ),
        Line(
            "Alan asks for the erasure of the first one",
            'ERASURE=$(curl -sSw "$STATUS" "$APP/v1/recordings/$KEY/erase" -H "$JSON" '
            f'{bearer}ALAN" -d \'{{"reason":"objection","text":"asked for by mail"}}\''
            " | tee /dev/stderr | field erasureId)",
            202,
        ),
        Line("its state", f'curl -sSw "$STATUS" "$APP/v1/erasures/$ERASURE" {bearer}ALAN"', 200),
        Line("all erasures, for Grace", f'curl -sSw "$STATUS" "$APP/v1/erasures" {bearer}GRACE"', 200),
        Line(
            "refused: Grace may not call it off",
            f'curl -sSw "$STATUS" -X DELETE "$APP/v1/recordings/$KEY/erase" {bearer}GRACE"',
            403,
        ),
        Line(
            "Alan calls it off",
            f'curl -sSw "$STATUS" -X DELETE "$APP/v1/recordings/$KEY/erase" {bearer}ALAN"',
            200,
        ),
        Line(
            "Grace has it kept for longer",
            'curl -sSw "$STATUS" -X PUT "$APP/v1/recordings/$KEY/retention" -H "$JSON" '
            f'{bearer}GRACE" -d \'{{"retentionClass":"court","reason":"a hearing"}}\'',
            200,
        ),
        Line(
            "two cases hold it, each for Grace",
            "for CASE in 118 119; do\n"
            '  curl -sSw "$STATUS" -X PUT "$APP/v1/recordings/$KEY/hold" -H "$JSON" '
            f'{bearer}GRACE" -d "{{\\"case\\":\\"case $CASE\\",\\"reason\\":\\"subpoena\\"}}"\n'
            "done",
            200,
        ),
        Line(
            "refused: Alan may not erase what is on hold",
            'curl -sSw "$STATUS" "$APP/v1/recordings/$KEY/erase" -H "$JSON" '
            f'{bearer}ALAN" -d \'{{"reason":"objection","text":"asked for by mail"}}\'',
            409,
        ),
        Line(
            "refused: a shorter time, while it is on hold",
            'curl -sSw "$STATUS" -X PUT "$APP/v1/recordings/$KEY/retention" -H "$JSON" '
            f'{bearer}GRACE" -d \'{{"retentionClass":"standard","reason":"by mistake"}}\'',
            409,
        ),
        Line(
            "all recordings of somebody who took part: what is on hold is refused, and named",
            'curl -sSw "$STATUS" "$APP/v1/erasures" -H "$JSON" '
            f'{bearer}ALAN" -d "{{\\"participant\\":\\"$PERSON\\",\\"reason\\":\\"objection\\",'
            '\\"text\\":\\"by mail\\"}"',
            202,
        ),
        Line("what is on hold", f'curl -sSw "$STATUS" "$APP/v1/recordings?hold=true" {bearer}GRACE"', 200),
        Line(
            "Grace lifts the hold of one case",
            'curl -sSw "$STATUS" -X DELETE "$APP/v1/recordings/$KEY/hold?case=case%20118&reason=closed" '
            f'{bearer}GRACE"',
            200,
        ),
        Line(
            "refused: a case that never held it",
            f'curl -sSw "$STATUS" -X DELETE "$APP/v1/recordings/$KEY/hold?case=none&reason=closed" {bearer}GRACE"',
            404,
        ),
        Line(
            "a case holds all recordings that a search finds: those of the first call",
            'HOLD=$(curl -sSw "$STATUS" "$APP/v1/holds" -H "$JSON" '
            f'{bearer}GRACE" -d "{{\\"call\\":\\"$CALL_ID\\",\\"case\\":\\"case 120\\",\\"reason\\":\\"an audit\\"}}" '
            "| tee /dev/stderr | field holdId)",
            202,
        ),
        Line("how many they are", f'curl -sSw "$STATUS" "$APP/v1/holds/$HOLD" {bearer}GRACE"', 200),
        Line(
            "a link to the media, for Grace",
            f'curl -sSw "$STATUS" "$APP/v1/recordings/$KEY/chunks/0/content" {bearer}GRACE"',
            302,
        ),
        Line(
            "Edsger has it read again",
            f'curl -sSw "$STATUS" -X POST "$APP/v1/recordings/$KEY/verify" {bearer}EDSGER"',
            200,
        ),
        Line(
            "what needs an operator, for Edsger",
            f'curl -sSw "$STATUS" "$APP/v1/operations" {bearer}EDSGER"',
            200,
        ),
        Line(
            "Edsger has one chunk of it verified",
            f'curl -sSw "$STATUS" -X POST "$APP/v1/recordings/$KEY/chunks/0/verify" {bearer}EDSGER"',
            200,
        ),
        Line(
            "Edsger has a chunk queued again, which is safe",
            f'curl -sSw "$STATUS" -X POST "$APP/v1/recordings/$KEY/chunks/0/requeue" {bearer}EDSGER"',
            200,
        ),
        Line(
            "something that is no event", 'curl -sSw "$STATUS" "$APP/callbacks" -H "$JSON" -d \'{"no":"event"}\'', 200
        ),
        Line(
            "it is in quarantine, as Edsger sees",
            'EVENT=$(curl -sSw "$STATUS" "$APP/v1/operations/quarantined" '
            f'{bearer}EDSGER" | tee /dev/stderr | field eventKey)',
            200,
        ),
        Line(
            "refused: Edsger replays it, and it is still not understood",
            f'curl -sSw "$STATUS" -X POST "$APP/v1/operations/quarantined/$EVENT/replay" {bearer}EDSGER"',
            409,
        ),
        Line(
            "the calling app notes that Ada, of the first call, granted consent",
            'curl -sSw "$STATUS" "$APP/v1/conversations/$CONVERSATION/consents" -H "$JSON" '
            f'{bearer}SERVICE" -d \'{{"participant":"8:acs:ada","decision":"granted","how":"click"}}\'',
            201,
        ),
        Line(
            "and that she withdrew it, which pauses what is being recorded: nothing",
            'curl -sSw "$STATUS" "$APP/v1/conversations/$CONVERSATION/consents" -H "$JSON" '
            f'{bearer}SERVICE" -d \'{{"participant":"8:acs:ada","decision":"withdrawn","how":"click"}}\'',
            201,
        ),
        Line(
            "the consents of that conversation, for Grace",
            f'curl -sSw "$STATUS" "$APP/v1/conversations/$CONVERSATION/consents" {bearer}GRACE"',
            200,
        ),
        Line(
            "Grace asks for an export of what there is about somebody who took part",
            'EXPORT=$(curl -sSw "$STATUS" "$APP/v1/exports" -H "$JSON" '
            f'{bearer}GRACE" -d "{{\\"participant\\":\\"$PERSON\\",\\"reason\\":\\"asked, article 15\\"}}" '
            "| tee /dev/stderr | field exportId)",
            202,
        ),
        Line(
            "its state, with links once it is ready",
            f'for _ in $(seq 30); do curl -sS "$APP/v1/exports/$EXPORT" {bearer}GRACE" | grep -q ready && break; '
            "sleep 1; done\n"
            f'curl -sSw "$STATUS" "$APP/v1/exports/$EXPORT" {bearer}GRACE"',
            200,
        ),
        Line("refused: Ada may not export", f'curl -sSw "$STATUS" "$APP/v1/exports/$EXPORT" {bearer}ADA"', 403),
        Line(
            "the certificate of what was erased: removed, left and why, kept and why; once it has happened",
            f'for _ in $(seq 90); do curl -sS "$APP/v1/erasures/$ERASED" {bearer}ALAN" | grep -q certificate && break; '
            "sleep 1; done\n"
            f'curl -sSw "$STATUS" "$APP/v1/erasures/$ERASED" {bearer}ALAN"',
            200,
        ),
        Line("refused: it is erased", f'curl -sSw "$STATUS" "$APP/v1/recordings/$OTHER_KEY" {bearer}ADA"', 404),
        Line("what is being recorded, for Barbara", f'curl -sSw "$STATUS" "$APP/v1/live" {bearer}BARBARA"', 200),
        Line("who Barbara is, and what she may do", f'curl -sSw "$STATUS" "$APP/v1/me" {bearer}BARBARA"', 200),
        Line("the state of the recording, for Barbara", f'curl -sSw "$STATUS" {_V1_RECORDING} {bearer}BARBARA"', 200),
        Line("the same for the calling app", f'curl -sSw "$STATUS" {_V1_RECORDING} {bearer}SERVICE"', 200),
        Line("refused: Ada may not stop it", f'curl -sSw "$STATUS" -X DELETE {_V1_RECORDING} {bearer}ADA"', 403),
        Line(
            "refused: Edsger gets no link",
            f'curl -sSw "$STATUS" "$APP/v1/recordings/$KEY/chunks/0/content" {bearer}EDSGER"',
            403,
        ),
        Line(
            "refused: Ada does not see the trail",
            f'curl -sSw "$STATUS" "$APP/v1/recordings/$KEY/trail" {bearer}ADA"',
            403,
        ),
        Line(
            "refused: Ada holds nothing",
            'curl -sSw "$STATUS" -X PUT "$APP/v1/recordings/$KEY/hold" -H "$JSON" '
            f'{bearer}ADA" -d \'{{"case":"case 118","reason":"subpoena"}}\'',
            403,
        ),
        Line("refused: Ada is no operator", f'curl -sSw "$STATUS" "$APP/v1/operations" {bearer}ADA"', 403),
        Line("refused: no token", 'curl -sSw "$STATUS" "$APP/v1/recordings"', 401),
        *(
            Line(
                f"refused: a token that is wrong in one respect, {kind}",
                f'WRONG=$(curl -sS -X POST "{entra_url}/emulator/tokens/{kind}" | field access_token)\n'
                f'curl -sSw "$STATUS" "$APP/v1/recordings" {bearer}WRONG"',
                403 if kind == "no-role" else 401,
            )
            for kind in WRONG
        ),
    ]


def _at(operation: str) -> str:
    return f'{RECORDING[:-1]}{operation}"'
