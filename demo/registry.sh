# What util/demo does with --consul or --redis; it is read by that, and uses
# what it has.

name=(v1 v2 v3)
version=(27 33 27)
release=(2.7.23 3.3.6 2.7.23)
providers=($((port + 1)) $((port + 2)) $((port + 3)))
registry_port=$((port + 4))

# Consul's other ports
registry_ports=("$registry_port")
[ $registry = redis ] || registry_ports+=($((port + 5)) $((port + 6)))


registry_url()
{
    if [ "$registry" = redis ]; then
        echo "redis://127.0.0.1:$registry_port"
    else
        echo "consul://127.0.0.1:$registry_port"
    fi
}


start_registry()
{
    local command

    if [ "$registry" = redis ]; then
        command=(redis-server --bind 127.0.0.1 --port "$registry_port"
                 --save '' --dir "$dir")
    else
        cat > "$dir/consul.json" << END
{ "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1",
  "disable_update_check": true,
  "ports": { "http": $registry_port, "server": $((port + 5)),
             "serf_lan": $((port + 6)), "serf_wan": -1, "dns": -1,
             "grpc": -1, "grpc_tls": -1, "https": -1 } }
END
        command=("$root/build/consul" agent -dev
                 "-config-file=$dir/consul.json")
    fi

    "${command[@]}" > "$dir/registry.log" 2>&1 < /dev/null 7>&- &
    registry_pid=$!
    echo $registry_pid > "$dir/registry.run"

    local i

    for ((i = 0; i < 200; i++)); do
        registry_answers && return
        alive $registry_pid || break
        sleep 0.05 &
        wait $!
    done

    cat "$dir/registry.log" >&2
    die "$registry did not start"
}


registry_answers()
{
    if [ "$registry" = redis ]; then
        [ "$(redis-cli -p "$registry_port" ping 2> /dev/null)" = PONG ]
    else
        curl -sf "http://127.0.0.1:$registry_port/v1/health/service/consul" \
            | grep -q '"Node"'
    fi
}


# Dubbo's first beat comes a moment after it has registered: until then Consul
# does not name it

wait_registered()
{
    local i service=com.example.Greeter
    local url=http://127.0.0.1:$registry_port/v1/health/service/$service

    for ((i = 0; i < 200; i++)); do
        if [ "$registry" = redis ]; then
            redis-cli -p "$registry_port" hkeys "/dubbo/$service/providers"
        else
            curl -s "$url?passing"
        fi | grep -q "$service" && return

        sleep 0.05 &
        wait $!
    done

    die "the provider did not register"
}


start_provider()
{
    local i=$1
    local n=$dir/${name[i]}

    jvm "${version[i]}" mesh.kit.DemoProvider "port=${providers[i]}" \
        "name=${name[i]}" "registry=$(registry_url)" \
        < "$dir/input" > "$n.out" 2> "$n.log" 7>&- &
    echo $! > "$n.jvm"

    # whoever kills one by hand knows it
    disown $!
}


# half a second of calls: one line, who answered in "seen", failures added up

tick()
{
    local pair n line= failure= bad=0

    echo 500ms >&9
    hear
    seen=

    for pair in $answer; do
        n=${pair#*=}

        case $pair in
            ms=*)      ;;
            failed=*)  bad=$n ;;
            v[123]=*)  seen="$seen ${pair%%=*}"
                       answered=$((answered + n))
                       line+=$(printf '%-4s%5d answered   ' \
                                   "${pair%%=*}" "$n") ;;
            *)         failure="$failure $pair" ;;
        esac
    done

    seen=${seen# }
    failed=$((failed + bad))
    failure=${failure##*Exception: }
    echo "  $line$bad failed${failure:+: $failure}"
}


# until NAMES: calls go on until these answer, and no other

until_seen()
{
    local i

    for ((i = 0; i < 60; i++)); do
        tick
        [ "$seen" = "$1" ] && return
    done

    cat "$dir/error.log" >&2
    die "\"$1\" should have answered, and no other"
}


act()
{
    echo
    echo "demo: $*"
}


show()
{
    answered=0
    failed=0

    act "calls begin: nginx asks $registry where the service is"
    until_seen v1

    act "provider v2, Dubbo ${release[1]}, is started and registers"
    start_provider 1
    until_seen "v1 v2"

    act "provider v1 is told to stop: it deregisters, ends its calls, goes"
    kill -TERM "$(< "$dir/v1.jvm")"
    until_seen v2

    act "provider v3, Dubbo ${release[2]}, is started and registers"
    start_provider 2
    until_seen "v2 v3"

    act "provider v2 is killed (kill -9): $registry still has it"
    kill -KILL "$(< "$dir/v2.jvm")"
    until_seen v3

    echo
    echo "$answered calls were answered, $failed failed."
    echo
    echo "What nginx has of $registry:"
    curl -s "http://127.0.0.1:$http/api/1/registries/$registry" \
        | sed 's/^/  /'
    echo

    [ "$failed" = 0 ]
}


invite_registry()
{
    local look="redis-cli -p $registry_port hgetall"
    look+=" /dubbo/com.example.Greeter/providers"

    [ "$registry" = redis ] \
        || look="curl -s http://127.0.0.1:$registry_port/v1/catalog/services"

    cat << END

It runs until Ctrl-C.  Try, from another terminal:
  $look
  curl -s http://127.0.0.1:$http/api/1/services
  curl -s http://127.0.0.1:$http/metrics
  kill -TERM $(< "$dir/v3.jvm")    # the last provider leaves
The configuration is $dir/nginx.conf.
END
}


run_registry()
{
    echo "demo: starting $registry, a provider, nginx and a consumer"

    start_registry
    start_provider 0
    start_nginx
    ready "$dir/v1.out" "$(< "$dir/v1.jvm")" "provider v1"
    wait_registered

    echo "demo: $registry on 127.0.0.1:$registry_port, provider v1, Dubbo" \
         "${release[0]}, on 127.0.0.1:${providers[0]}"
    echo "demo: $("$nginx" -v 2>&1 | sed 's,.*: ,,'), consumers connect to" \
         "127.0.0.1:$port, metrics and the API on 127.0.0.1:$http"

    start_consumer
    hear

    if [ $once = yes ]; then
        show || die "that is not what should have happened"
        exit
    fi

    show
    invite_registry
    serve
}
