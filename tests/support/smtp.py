"""A mail server that writes every mail it gets to a directory, as JSON. It prints its port first."""

import argparse
import asyncio
import email
import email.policy
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

parser = argparse.ArgumentParser()
parser.add_argument("mails")
parser.add_argument("--starttls", nargs=2)
parser.add_argument("--tls", nargs=2)
parser.add_argument("--login", nargs=2)
parser.add_argument("--refuse")
parser.add_argument("--busy", type=int, default=0)
arguments = parser.parse_args()


def context(files):
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(*files)
    return made


class Handler:
    count = 0
    busy = arguments.busy

    async def handle_RCPT(self, server, session, envelope, address, options):
        if arguments.refuse:
            return arguments.refuse + " not here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if Handler.busy > 0:
            Handler.busy -= 1
            return "451 try again later"
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        part = lambda kind: next((p.get_content() for p in mail.walk() if p.get_content_type() == kind), "")
        found = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": server.transport.get_extra_info("sslcontext") is not None,
            "login": session.auth_data.login.decode() if session.auth_data else None,
            "helo": session.host_name,
            "headers": {name: str(value) for name, value in mail.items()},
            "names": [name for name in mail.keys()],
            "kind": mail.get_content_type(),
            "text": part("text/plain"),
            "html": part("text/html"),
        }
        path = os.path.join(arguments.mails, f"{Handler.count:03}")
        Handler.count += 1
        with open(path + ".new", "w") as file:
            json.dump(found, file)
        os.rename(path + ".new", path + ".json")
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and [data.login.decode(), data.password.decode()] == arguments.login
    return AuthResult(success=good, handled=good, auth_data=data if good else None)


def protocol():
    return SMTP(
        Handler(),
        tls_context=context(arguments.starttls) if arguments.starttls else None,
        require_starttls=bool(arguments.starttls),
        authenticator=authenticate if arguments.login else None,
        auth_required=bool(arguments.login),
        auth_require_tls=bool(arguments.starttls),
        enable_SMTPUTF8=False,
    )


async def main():
    tls = context(arguments.tls) if arguments.tls else None
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    sys.stdout.close()
    await server.serve_forever()


asyncio.run(main())
