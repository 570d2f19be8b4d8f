/// The page that the gateway serves at `/`: three texts, nothing from elsewhere.
///
/// It holds no data. Agent and gateway token come in the fragment of the address (`/#agent=<name>&token=<token>`), which
/// a browser never sends; the page takes it out of the address at once and sends the token as a bearer token.
enum WebUIPage {
    static let html = """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="referrer" content="no-referrer">
        <title>kars</title>
        <link rel="icon" href="data:,">
        <link rel="stylesheet" href="/webui/app.css">
        <script src="/webui/app.js" defer></script>
        </head>
        <body>
        <header>
          <h1 id="name">kars</h1>
          <span id="status" class="pill">not connected</span>
          <span id="model" class="quiet"></span>
          <span id="home" class="quiet"></span>
          <button id="leave" type="button" hidden>Forget token</button>
        </header>
        <form id="door" hidden>
          <label>Agent <input id="door-agent" autocomplete="off" required></label>
          <label>Gateway token <input id="door-token" type="password" autocomplete="off" required></label>
          <button>Open</button>
          <p class="quiet">'kars connect &lt;name&gt; --web' prints an address that needs neither.</p>
        </form>
        <main id="room" hidden>
          <section id="talk">
            <ol id="turns" role="log" aria-live="polite" aria-label="Conversation"></ol>
            <form id="say">
              <textarea id="message" rows="2" aria-label="Message" aria-describedby="keys" required></textarea>
              <button id="send">Send</button>
            </form>
            <p id="keys" class="quiet">Enter sends, Shift+Enter breaks the line.</p>
            <p id="problem" role="alert"></p>
          </section>
          <aside>
            <h2>Events</h2>
            <ol id="events" aria-live="polite"></ol>
          </aside>
        </main>
        </body>
        </html>

        """

    static let css = """
        :root { color-scheme: light dark; --line: #8885; --soft: #8882; --accent: #2563eb; }
        * { box-sizing: border-box; }
        [hidden] { display: none !important; }
        body { margin: 0; height: 100vh; display: flex; flex-direction: column; font: 16px/1.5 system-ui, sans-serif; }
        header { display: flex; gap: 1rem; align-items: center; padding: .6rem 1rem; border-bottom: 1px solid var(--line); }
        h1 { font-size: 1.1rem; margin: 0; }
        h2 { font-size: .9rem; margin: 0 0 .5rem; }
        .pill { padding: 0 .6rem; border-radius: 1rem; background: var(--soft); font-size: .9rem; }
        .pill.running { background: #16a34a33; }
        .pill.held { background: #d9770633; }
        .pill.gone { background: #dc262633; }
        .quiet { opacity: .7; font-size: .9rem; }
        #leave { margin-left: auto; }
        #door { margin: 4rem auto; display: grid; gap: 1rem; width: 20rem; }
        #door input { width: 100%; }
        main { flex: 1; display: grid; grid-template-columns: 1fr 18rem; min-height: 0; }
        #talk { display: flex; flex-direction: column; min-height: 0; padding: 1rem; gap: .5rem; }
        ol { list-style: none; margin: 0; padding: 0; }
        #turns { flex: 1; overflow-y: auto; display: flex; flex-direction: column; }
        #turns li { max-width: 46rem; margin: .3rem 0; padding: .4rem .8rem; border-radius: .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
        #turns .user { margin-left: auto; width: fit-content; background: var(--accent); color: #fff; }
        #turns .agent { width: fit-content; background: var(--soft); }
        #say { display: flex; gap: .5rem; }
        #keys { margin: 0; }
        textarea { flex: 1; font: inherit; resize: none; }
        textarea, input, button { font: inherit; padding: .4rem .6rem; border: 1px solid var(--line); border-radius: .4rem; }
        #problem { color: #dc2626; margin: 0; min-height: 1.5em; }
        aside { border-left: 1px solid var(--line); padding: 1rem; overflow-y: auto; font-size: .9rem; }
        aside time { opacity: .6; margin-right: .5rem; font-variant-numeric: tabular-nums; }
        @media (max-width: 50rem) { main { grid-template-columns: 1fr; } aside { display: none; } }

        """

    static let script = #"""
        'use strict';
        // Texts of agents and events become text nodes, never markup.
        const conversation = 'main', page = 100, firstTurns = 50, pause = 2000, mostEvents = 200;
        const get = id => document.getElementById(id);
        let door = null;      // {agent, token}
        let shown = null;     // turns on the page; null before the first look
        let isSending = false;
        let isListed = true;  // whether the agent lists past turns
        let closing = null;   // ends what waits on the agent

        function enter() {
          const given = new URLSearchParams(location.hash.slice(1));
          if (given.get('token')) {
            sessionStorage.setItem('kars', JSON.stringify({agent: given.get('agent') || '', token: given.get('token')}));
            history.replaceState(null, '', location.pathname);
          }
          const stored = JSON.parse(sessionStorage.getItem('kars') || 'null');
          if (stored && stored.agent && stored.token) return open(stored);
          get('door-agent').value = stored ? stored.agent : '';
          get('door').hidden = false;
        }

        function open(to) {
          door = to;
          shown = null;
          closing = new AbortController();
          sessionStorage.setItem('kars', JSON.stringify(to));
          document.title = to.agent + ' · kars';
          get('name').textContent = to.agent;
          get('door').hidden = true;
          get('room').hidden = get('leave').hidden = false;
          get('turns').replaceChildren();
          get('message').focus();
          watch(closing.signal);
          follow(closing.signal);
        }

        function leave() {
          if (closing) closing.abort();
          sessionStorage.removeItem('kars');
          door = null;
          document.title = get('name').textContent = 'kars';
          status('not connected', '');
          get('model').textContent = get('home').textContent = get('problem').textContent = '';
          get('door-token').value = '';
          get('room').hidden = get('leave').hidden = true;
          get('door').hidden = false;
        }

        const wait = time => new Promise(resume => setTimeout(resume, time));

        async function ask(path, options = {}) {
          const answer = await fetch('/agents/' + encodeURIComponent(door.agent) + path, {
            ...options, signal: closing.signal, cache: 'no-store', credentials: 'omit',
            headers: {'authorization': 'Bearer ' + door.token, 'content-type': 'application/json'}});
          if (answer.ok) return answer.json();
          const text = await answer.text();
          let reason = text.slice(0, 200);
          try { const told = JSON.parse(text).error; reason = told.message || told; } catch { /* not JSON */ }
          throw Object.assign(new Error(reason || 'status ' + answer.status), {status: answer.status});
        }

        function add(text, whose) {
          const line = document.createElement('li');
          line.className = whose;
          line.textContent = text;
          const log = get('turns');
          const isAtEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 40;
          log.append(line);
          if (isAtEnd || whose === 'user') line.scrollIntoView({block: 'end'});
        }

        // Shows the turns that are not on the page yet, also those of other clients.
        async function look() {
          const path = '/v1/conversations/' + conversation;
          if (shown === null) {
            const total = (await ask(path + '?offset=0&limit=1')).total;
            shown = Math.max(0, total - firstTurns);
          }
          for (;;) {
            const told = await ask(path + '?offset=' + shown + '&limit=' + page);
            for (const turn of told.turns) { add(turn.message, 'user'); add(turn.reply, 'agent'); }
            shown += told.turns.length;
            if (!told.turns.length || shown >= told.total) return;
          }
        }

        async function watch(signal) {
          while (!signal.aborted) {
            try {
              if (isListed && !isSending && !document.hidden) { await look(); get('problem').textContent = ''; }
            } catch (error) {
              if (signal.aborted) return;
              if (error.status === 404) isListed = false;
              else get('problem').textContent = error.message;
              if (error.status === 401) return leaveFor('The gateway token is wrong for this agent.');
            }
            await wait(pause);
          }
        }

        function leaveFor(reason) {
          leave();
          get('door-agent').focus();
          status(reason, 'gone');
        }

        async function send(event) {
          event.preventDefault();
          const message = get('message').value.trim();
          if (!message || isSending) return;
          isSending = true;
          get('send').disabled = true;
          get('problem').textContent = '';
          try {
            // A repeat after a lost answer is the same request: the agent runs it once.
            const request = JSON.stringify({message, conversation, request_id: 'web-' + crypto.getRandomValues(new Uint32Array(4)).join('-')});
            let answer = null;
            for (let attempt = 0; !answer; attempt++) {
              try { answer = await ask('/v1/chat', {method: 'POST', body: request}); } catch (error) {
                if (attempt >= 10 || (error.status && error.status !== 502 && error.status !== 503)) throw error;
                await wait(500);
              }
            }
            get('message').value = '';
            if (isListed) await look(); else { add(message, 'user'); add(answer.reply, 'agent'); }
          } catch (error) {
            get('problem').textContent = error.message;
          } finally {
            isSending = false;
            get('send').disabled = false;
            get('message').focus();
          }
        }

        function status(text, kind) {
          get('status').textContent = text;
          get('status').className = 'pill ' + kind;
        }

        function note(text) {
          const line = document.createElement('li'), time = document.createElement('time');
          time.textContent = new Date().toLocaleTimeString();
          line.append(time, text);
          get('events').prepend(line);
          while (get('events').childElementCount > mostEvents) get('events').lastChild.remove();
        }

        let before = {};
        function state(now) {
          const isHeld = now.route === 'held';
          status(isHeld ? 'moving' : now.status, isHeld ? 'held' : now.status === 'running' ? 'running' : '');
          get('model').textContent = now.model || '';
          get('home').textContent = 'at ' + now.home + ', epoch ' + now.epoch;
          if (now.status !== before.status) note('is ' + now.status);
          if (before.home && now.home !== before.home) note('lives at ' + now.home);
          if (isHeld && before.route !== 'held') note('requests wait');
          if (!isHeld && before.route === 'held') note('requests go on');
          before = now;
        }

        // The node's events: lines "data: <JSON>".
        async function follow(signal) {
          while (!signal.aborted) {
            try {
              const answer = await fetch('/webui/events/' + encodeURIComponent(door.agent), {
                signal, cache: 'no-store', credentials: 'omit', headers: {'authorization': 'Bearer ' + door.token}});
              if (!answer.ok) throw new Error('status ' + answer.status);
              const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
              let rest = '';
              for (;;) {
                const {value, done} = await reader.read();
                if (done) break;
                const lines = (rest + value).split('\n');
                rest = lines.pop();
                for (const line of lines) if (line.startsWith('data: ')) state(JSON.parse(line.slice(6)));
              }
            } catch { /* tried again below */ }
            if (signal.aborted) return;
            status('node does not answer', 'gone');
            await wait(pause);
          }
        }

        get('say').addEventListener('submit', send);
        get('message').addEventListener('keydown', event => {
          if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) send(event);
        });
        get('leave').addEventListener('click', leave);
        get('door').addEventListener('submit', event => {
          event.preventDefault();
          open({agent: get('door-agent').value.trim(), token: get('door-token').value.trim()});
        });
        enter();

        """#
}
