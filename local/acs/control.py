"""Routes of the control plane, ``/emulator/...``: place calls, move the clock, inject faults.

It has no authentication: the emulator listens on loopback only.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace

from aiohttp import web
from pydantic.alias_generators import to_camel

from local.acs import bodies, summary, views
from local.acs.announcer import Announcer
from local.acs.clock import timestamp
from local.acs.errors import BadRequest
from local.acs.faults import ServiceFaults
from local.acs.journal import CONTROL_PREFIX, Journal
from local.acs.service import Service
from local.acs.topic import CustomTopic
from local.eventgrid import HandshakeError, Subscription, Topic


@dataclass(frozen=True)
class Control:
    """The handlers of the control plane, and the parts they act on."""

    service: Service
    announcer: Announcer
    topic: Topic
    faults: ServiceFaults
    journal: Journal
    custom_topic: CustomTopic = field(default_factory=CustomTopic)

    def routes(self) -> list[web.RouteDef]:
        """Return every control-plane route."""
        handlers: list[tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]]]] = [
            ("POST", "/calls", self.place_call),
            ("DELETE", "/calls/{callId}", self.end_call),
            ("POST", "/calls/{callId}/participants", self.join),
            ("DELETE", "/calls/{callId}/participants/{participantId}", self.leave),
            ("GET", "/recordings", self.list_recordings),
            ("POST", "/recordings", self.make_recording),
            ("GET", "/recordings/{recordingId}", self.show_recording),
            ("POST", "/recordings/{recordingId}/announce", self.announce),
            ("GET", f"/logs/{summary.TABLE}", self.list_summaries),
            ("GET", "/subscriptions", self.list_subscriptions),
            ("POST", "/subscriptions", self.subscribe),
            ("DELETE", "/subscriptions/{name}", self.unsubscribe),
            ("POST", "/events", self.publish),
            ("GET", "/clock", self.show_clock),
            ("POST", "/clock", self.advance_clock),
            ("GET", "/requests", self.list_requests),
            ("DELETE", "/requests", self.clear_requests),
            ("GET", "/settings", self.show_settings),
            ("PUT", "/settings", self.change_settings),
        ]
        ours = [web.route(method, CONTROL_PREFIX + path, handler) for method, path, handler in handlers]
        return [*ours, *self.faults.routes(CONTROL_PREFIX), *self.custom_topic.routes()]

    async def place_call(self, request: web.Request) -> web.Response:
        """Place a call: 201 with its ids; the call-leg events are sent."""
        body = await bodies.read(request, bodies.CallBody)
        call = self.service.place_call(
            body.participants,
            media=body.media.media(),
            callback_uri=body.callback_uri,
            group_id=body.group_id,
            room_id=body.room_id,
        )
        return web.json_response(views.call(call), status=201)

    async def end_call(self, request: web.Request) -> web.Response:
        """End a call and with it its recording."""
        return web.json_response(views.call(self.service.end_call(request.match_info["callId"])))

    async def join(self, request: web.Request) -> web.Response:
        """Add a participant: 201."""
        body = await bodies.read(request, bodies.ParticipantBody)
        person = self.service.join(request.match_info["callId"], body.display_name)
        return web.json_response(views.participant(person), status=201)

    async def leave(self, request: web.Request) -> web.Response:
        """Let a participant leave."""
        person = self.service.leave(request.match_info["callId"], request.match_info["participantId"])
        return web.json_response(views.participant(person))

    async def list_recordings(self, request: web.Request) -> web.Response:
        """Return all recordings, oldest first."""
        recordings = list(self.service.recordings.values())
        return web.json_response({"recordings": [await views.recording(one, self.service) for one in recordings]})

    async def make_recording(self, request: web.Request) -> web.Response:
        """Make a finished recording at once: 201 when its media is ready."""
        body = await bodies.read(request, bodies.RecordingBody)
        recording = self.service.recorded(
            body.participants,
            media=body.media.media(),
            seconds=body.duration_seconds,
            generation=body.generation,
            format=body.format(),
        )
        ids = {person.display_name: person.participant_id for person in recording.call.participants}
        channels = tuple(ids.get(name, name) for name in body.channels)
        recording.format = replace(recording.format, channels=channels)
        await self.announcer.produce(recording)
        if body.announce:
            self.announcer.announce(recording)
        return web.json_response(await views.recording(recording, self.service), status=201)

    async def show_recording(self, request: web.Request) -> web.Response:
        """Return one recording."""
        recording = self.service.recording(request.match_info["recordingId"])
        return web.json_response(await views.recording(recording, self.service))

    async def announce(self, request: web.Request) -> web.Response:
        """Publish a file event again, with the same id."""
        body = await bodies.read(request, bodies.AnnounceBody, optional=True)
        recording = self.service.recording(request.match_info["recordingId"])
        self.announcer.announce(recording, times=body.times)
        return web.json_response(await views.recording(recording, self.service))

    async def list_summaries(self, request: web.Request) -> web.Response:
        """Return what the service reports to Azure Monitor of the recordings that it has made."""
        rows = [row for one in self.service.recordings.values() if (row := summary.row(one))]
        return web.json_response({"rows": rows})

    async def list_subscriptions(self, request: web.Request) -> web.Response:
        """Return the subscriptions with their delivery counts."""
        return web.json_response({"subscriptions": self.topic.report()})

    async def subscribe(self, request: web.Request) -> web.Response:
        """Subscribe an endpoint: 201 if the handshake succeeded, otherwise 400 with the reason."""
        body = await bodies.read_json(request)
        try:
            await self.topic.subscribe(Subscription.from_json(body))
        except (HandshakeError, ValueError) as error:
            raise BadRequest(str(error), target="endpoint" if isinstance(error, HandshakeError) else None) from None
        return web.json_response(body, status=201)

    async def unsubscribe(self, request: web.Request) -> web.Response:
        """Remove a subscription."""
        await self.topic.unsubscribe(request.match_info["name"])
        return web.json_response({})

    async def publish(self, request: web.Request) -> web.Response:
        """Publish one Event Grid event or an array of them, unchecked, so that invalid ones can be sent, too."""
        body = await bodies.read_json(request)
        batch = body if isinstance(body, list) else [body]
        if not all(isinstance(event, dict) for event in batch):
            raise BadRequest("The request contains invalid data: an event is a JSON object.")
        for event in batch:
            self.topic.publish(event)
        return web.json_response({"published": len(batch)})

    async def show_clock(self, request: web.Request) -> web.Response:
        """Return the emulator's time."""
        return web.json_response({"now": timestamp(self.service.clock.now())})

    async def advance_clock(self, request: web.Request) -> web.Response:
        """Move the emulator's time forward."""
        body = await bodies.read(request, bodies.AdvanceBody)
        self.service.clock.advance(body.advance_seconds)
        return await self.show_clock(request)

    async def list_requests(self, request: web.Request) -> web.Response:
        """Return the journal of requests to the service API."""
        return web.json_response({"requests": self.journal.view()})

    async def clear_requests(self, request: web.Request) -> web.Response:
        """Empty the journal."""
        self.journal.clear()
        return web.json_response({})

    async def show_settings(self, request: web.Request) -> web.Response:
        """Return the settings, and the addresses of the storage hosts, which can't be changed."""
        settings, hosts = self.service.settings, self.service.hosts
        shown = {to_camel(name): value for name, value in asdict(settings).items()}
        return web.json_response(shown | {"storageUrl": hosts.storage, "regionUrl": hosts.region})

    async def change_settings(self, request: web.Request) -> web.Response:
        """Change some settings; they also apply to the end of running recordings."""
        body = await bodies.read(request, bodies.SettingsBody)
        self.service.settings = replace(self.service.settings, **body.model_dump(exclude_none=True))
        return await self.show_settings(request)
