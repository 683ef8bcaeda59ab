%% What a message between two processes of one Erlang node costs, for a comparison with driftmend's actors.
%%
%% Reads one order a line from standard input, does it, and answers with a line: the microseconds it took.
%%
%%   flood N   N casts to a gen_server, until it has handled the last
%%   ask N     N gen_server:call, 64 outstanding: 64 processes, each of which asks again when it is answered
%%
%% Started with +S 1:1, as one thread of JavaScript has to do it all.
-module(messages).
-behaviour(gen_server).
-export([main/0, init/1, handle_call/3, handle_cast/2]).

-define(OUTSTANDING, 64).

main() ->
    {ok, Counter} = gen_server:start_link(?MODULE, [], []),
    obey(Counter).

obey(Counter) ->
    case io:get_line("") of
        eof -> halt(0);
        {error, _} -> halt(1);
        Line ->
            [What, Count] = string:lexemes(string:trim(Line), " "),
            {Us, ok} = timer:tc(fun() -> work(What, list_to_integer(Count), Counter) end),
            io:format("~b~n", [Us]),
            obey(Counter)
    end.

work("flood", Count, Counter) ->
    gen_server:cast(Counter, {tell, self(), Count}),
    [gen_server:cast(Counter, one) || _ <- lists:seq(1, Count)],
    receive {counted, Counter} -> ok end;
work("ask", Count, Counter) ->
    Each = Count div ?OUTSTANDING,
    Self = self(),
    Askers = [spawn_link(fun() -> ask(Each, Counter), Self ! {done, self()} end) || _ <- lists:seq(1, ?OUTSTANDING)],
    [receive {done, Asker} -> ok end || Asker <- Askers],
    ok.

ask(0, _) -> ok;
ask(Left, Counter) ->
    1 = gen_server:call(Counter, question),
    ask(Left - 1, Counter).

%% State: nobody, or whom to tell when so many more have come.
init([]) -> {ok, nobody}.

handle_call(question, _From, State) -> {reply, 1, State}.

handle_cast({tell, Who, Left}, _) -> {noreply, {Who, Left}};
handle_cast(one, {Who, 1}) -> Who ! {counted, self()}, {noreply, nobody};
handle_cast(one, {Who, Left}) -> {noreply, {Who, Left - 1}}.
