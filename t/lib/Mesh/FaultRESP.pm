package Mesh::FaultRESP;

# A server that speaks as Redis does, and misbehaves as it is told.
#
#   my $f = Mesh::FaultRESP->new;
#   $f->order('HSET', '/dubbo/com.example.A/providers', $url, $expiry);
#   $f->fault(match => '^HGETALL', error => 'LOADING Redis is loading');
#   ... $f->commands ...
#
# It knows what a reader of a registry asks, and the writers' HSET HDEL DEL
# FLUSHALL PUBLISH; RESP2, and RESP3 after HELLO 3.  new(password => p) wants
# AUTH, from the user "default" where it is named.
#
# fault(options): the first that matches "COMMAND ARGUMENTS" is used, "times"
# times (1; 0 is for ever), skip => n lets n such commands pass before.
#   error => text             an error, as "NOPERM no"
#   raw => bytes              instead of an answer
#   delay => s                before the answer; later ones wait as well
#   truncate => n             closes after n bytes of the answer
#   drip => [bytes, s]        so many at a time
#   close => 1, rst => 1      no answer
#   silent => 1               no answer, and the connection stays
#   then => "close"           after the answer
#
# set(options), for what goes on: skew => s of its clock, deaf => 1 (nothing
# that is published arrives: a black hole), mute => 1 (no answer to anything),
# run_id, replid => text, role => [...], info => {section => text},
# early => bytes that each connection gets before it has asked, then the close.

use strict;
use warnings;

use parent 'Mesh::Fault';

use Time::HiRes qw(time);

use Mesh::Resp qw(resp_parse);


###############################################################################
# the test's side


sub url { "redis://127.0.0.1:$_[0]{port}/" . ($_[1] // 0) }

sub fault { my ($self, %o) = @_; return $self->ask('fault', \%o) }
sub set   { my ($self, %o) = @_; return $self->ask('set', \%o) }
sub clear { $_[0]->ask('clear') }

# a command as if a client had sent it, without faults
sub order { my ($self, @words) = @_; return $self->ask('order', \@words) }

# all commands so far: time, conn, words, fault; forget => 1 empties the list
sub commands { @{ $_[0]->ask('commands', $_[1]) } }

# channels and patterns => number of subscribers
sub subscribers { $_[0]->ask('subscribers') }

# bytes to all subscribers, or to all
sub push_bytes { $_[0]->ask('push', unpack('H*', $_[1]), $_[2] // 0) }


# as Dubbo's providers do: skew => s of theirs, quiet => 1, ttl => 60

sub provide {
    my ($self, $url, %o) = @_;

    my $key = Mesh::FaultRESP::key_of($url, $o{root}, $o{category});
    my $until = int 1000 * (time + ($o{ttl} // 60) + ($o{skew} // 0));

    $self->order('HSET', $key, $url, $until);
    $self->order('PUBLISH', $key, 'register') unless $o{quiet};

    return $key;
}


sub withdraw {
    my ($self, $url, %o) = @_;

    my $key = Mesh::FaultRESP::key_of($url, $o{root}, $o{category});

    $self->order('HDEL', $key, $url);
    $self->order('PUBLISH', $key, 'unregister') unless $o{quiet};

    return $key;
}


sub key_of {
    my ($url, $root, $category) = @_;

    my ($interface) = $url =~ m{^\w+://[^/]*/([^?]+)} or die "URL: $url";

    return ($root // '/dubbo') . "/$interface/" . ($category // 'providers');
}


###############################################################################
# the server's process
#
# a connection: resp (2 or 3), db, auth, subs {channel => 1}, patterns {}


sub init {
    my ($s) = @_;

    $s->{faults} = [];
    $s->{commands} = [];
    $s->{db} = {};
    $s->{set} = {
        run_id => sprintf('%040x', int rand 2**31),
        replid => sprintf('%040x', int rand 2**31),
        role => ['master', 0, []],
    };
    $s->{started} = time;
}


sub order_fault {
    my ($s, $o) = @_;

    $o->{times} //= 1;
    $o->{n} = ++$s->{n};
    push @{ $s->{faults} }, $o;

    return $o->{n};
}


sub order_set {
    my ($s, $o) = @_;

    %{ $s->{set} } = (%{ $s->{set} }, %$o);

    return 1;
}


sub order_clear { $_[0]{faults} = []; 1 }


sub order_order {
    my ($s, $words) = @_;

    my $c = { resp => 2, db => 0, auth => 1, test => 1 };
    my $bytes = $s->run($c, @$words);

    return (resp_parse($bytes))[0];
}


sub order_commands {
    my ($s, $forget) = @_;

    my $all = $s->{commands};
    $s->{commands} = [] if $forget;

    return $all;
}


sub order_subscribers {
    my ($s) = @_;

    my %n;
    for my $c (values %{ $s->{conns} }) {
        $n{$_}++ for keys %{ $c->{subs} }, keys %{ $c->{patterns} };
    }

    return \%n;
}


sub order_push {
    my ($s, $hex, $all) = @_;

    my @all = values %{ $s->{conns} };

    for my $c (@all) {
        $s->write($c, pack 'H*', $hex)
            if $all || %{ $c->{subs} } || %{ $c->{patterns} };
    }

    return 1;
}


sub opened {
    my ($s, $c) = @_;

    %$c = (%$c, resp => 2, db => 0, subs => {}, patterns => {},
           auth => !defined $s->{o}{password});

    if (defined $s->{set}{early}) {
        $s->write($c, $s->{set}{early});
        $s->shut($c, 'last');
    }
}


sub readable {
    my ($s, $c) = @_;

    while (!$c->{dead} && !$c->{busy}) {
        my ($words, $used) = eval { resp_parse($c->{in}) };

        if ($@) {
            $s->write($c, "-ERR Protocol error: invalid bulk length\r\n");
            return $s->shut($c, 'last');
        }

        last unless $used;
        substr $c->{in}, 0, $used, '';
        $s->command($c, ref $words ? @$words : $words);
    }
}


sub command {
    my ($s, $c, @words) = @_;

    my $line = join ' ', uc $words[0], @words[1 .. $#words];
    my $f = $s->pick($line) // {};

    push @{ $s->{commands} }, { time => time, conn => $c->{n},
        words => [uc $words[0], @words[1 .. $#words]],
        $f->{n} ? (fault => $f->{n}) : () };

    return $s->shut($c, $f->{rst} ? 1 : 0)
        if ($f->{close} || $f->{rst}) && !defined $f->{truncate};
    return if $f->{silent} || $s->{set}{mute};

    my $bytes = defined $f->{raw} ? $f->{raw}
              : defined $f->{error} ? "-$f->{error}\r\n"
              : $s->run($c, @words);

    $bytes = substr $bytes, 0, $f->{truncate} if defined $f->{truncate};

    my $end = defined $f->{truncate} || $c->{quit}
              || ($f->{then} // '') eq 'close';

    # most answers leave at once, so that a message comes after its OK
    return $s->reply($c, $f, $bytes, $end) unless $f->{delay};

    $c->{busy} = 1;
    $s->later($f->{delay}, sub {
        delete $c->{busy};
        $s->reply($c, $f, $bytes, $end);
        $s->readable($c);
    });
}


sub pick {
    my ($s, $line) = @_;

    for my $f (@{ $s->{faults} }) {
        next if $f->{spent} || $line !~ /$f->{match}/i;
        next if $f->{skip} && $f->{skip}-- > 0;

        $f->{spent} = 1 if $f->{times} && --$f->{times} == 0;
        return $f;
    }

    return;
}


sub reply {
    my ($s, $c, $f, $bytes, $end) = @_;

    my ($some, $pause) = @{ $f->{drip} // [] };

    if ($some && length $bytes > $some) {
        $c->{busy} = 1;
        $s->write($c, substr $bytes, 0, $some, '');
        $s->later($pause, sub { $s->reply($c, $f, $bytes, $end) });
        return;
    }

    delete $c->{busy} if $some;
    $s->write($c, $bytes);
    $s->shut($c, $f->{rst} ? 1 : 'last') if $end;
    $s->readable($c) if $some;
}


###############################################################################
# commands


sub bulk { defined $_[0] ? '$' . length($_[0]) . "\r\n$_[0]\r\n" : "\$-1\r\n" }


# a list, or with RESP3 another type where it has one

sub list {
    my ($c, $type, @items) = @_;

    my $n = @items;

    $type = '*' if $c->{resp} < 3;
    $n /= 2 if $type eq '%';

    return "$type$n\r\n" . join '', map {
        ref $_ eq 'ARRAY' ? list($c, '*', @$_)
            : ref $_ ? ":$$_\r\n" : bulk($_)
    } @items;
}


sub run {
    my ($s, $c, $name, @a) = @_;

    $name = lc $name;

    return "-NOAUTH Authentication required.\r\n"
        unless $c->{auth} || $name =~ /^(?:auth|hello|quit)$/;

    my $code = $s->can("do_$name")
        or return "-ERR unknown command '$name', with args beginning with: "
                  . "\r\n";

    return "-ERR Can't execute '$name': only (P|S)SUBSCRIBE / "
           . "(P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
           . "context\r\n"
        if $c->{resp} < 3 && (%{ $c->{subs} // {} }
                              || %{ $c->{patterns} // {} })
           && $name !~ /^(?:p?(?:un)?subscribe|ping|quit|reset)$/;

    return $code->($s, $c, @a);
}


sub db { $_[0]{db}{$_[1]{db}} //= {} }


sub do_ping {
    my ($s, $c, $text) = @_;

    return list($c, '*', 'pong', $text // '')
        if $c->{resp} < 3 && (%{ $c->{subs} } || %{ $c->{patterns} });
    return defined $text ? bulk($text) : "+PONG\r\n";
}


sub do_auth {
    my ($s, $c, @a) = @_;

    my $password = $s->{o}{password}
        // return '-ERR AUTH <password> called without any password '
                  . "configured for the default user.\r\n";

    return "-WRONGPASS invalid username-password pair or user is disabled."
           . "\r\n"
        if $a[-1] ne $password || @a > 1 && $a[0] ne 'default';

    $c->{auth} = 1;
    return "+OK\r\n";
}


sub do_hello {
    my ($s, $c, $version, @a) = @_;

    return "-NOPROTO unsupported protocol version\r\n"
        if defined $version && $version !~ /^[23]$/;

    if (@a && lc $a[0] eq 'auth') {
        my $answer = $s->do_auth($c, @a[1, 2]);
        return $answer if $answer =~ /^-/;
    }

    return '-NOAUTH HELLO must be called with the client already '
           . "authenticated\r\n" unless $c->{auth};

    $c->{resp} = $version if $version;

    return list($c, '%', server => 'redis', version => '7.0.15',
                proto => \$c->{resp}, id => \($c->{n} // 0),
                mode => 'standalone', role => $s->{set}{role}[0],
                modules => []);
}


sub do_select { $_[1]{db} = $_[2]; "+OK\r\n" }
sub do_quit   { $_[1]{quit} = 1; "+OK\r\n" }
sub do_client { lc($_[2] // '') eq 'id' ? ":$_[1]{n}\r\n" : "+OK\r\n" }
sub do_config { list($_[1], '%') }


sub do_reset {
    my ($s, $c) = @_;

    @$c{qw(resp db subs patterns)} = (2, 0, {}, {});
    return "+RESET\r\n";
}


sub do_time {
    my ($s, $c) = @_;

    my $now = time + ($s->{set}{skew} // 0);
    return list($c, '*', int $now, int(1e6 * ($now - int $now)));
}


sub do_role {
    my ($s, $c) = @_;
    return list($c, '*', map { /^-?\d+$/ ? \(my $n = $_) : $_ }
                         @{ $s->{set}{role} });
}


sub do_info {
    my ($s, $c, $section) = @_;

    my $set = $s->{set};
    my %text = (
        server => "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone"
            . "\r\nrun_id:$set->{run_id}\r\nuptime_in_seconds:"
            . int(time - $s->{started}) . "\r\n",
        replication => "# Replication\r\nrole:$set->{role}[0]\r\n"
            . "connected_slaves:0\r\nmaster_replid:$set->{replid}\r\n"
            . "master_repl_offset:0\r\n",
        %{ $set->{info} // {} },
    );

    $section = lc($section // 'all');
    return bulk(join "\r\n", map { $text{$_} // '' }
                $section =~ /^(?:all|default|everything)$/ ? sort keys %text
                                                           : $section);
}


sub glob_match {
    my ($pattern, $text) = @_;

    my $regex = join '', map { $_ eq '*' ? '.*' : $_ eq '?' ? '.'
                               : /^\\(.)/ ? quotemeta $1 : quotemeta }
                $pattern =~ /\\.|./gs;

    return $text =~ /\A$regex\z/s;
}


sub do_scan {
    my ($s, $c, $cursor, @a) = @_;

    my %o = map { /^(?:match|count|type)$/i ? lc : $_ } @a;
    my @keys = grep { !defined $o{match} || glob_match($o{match}, $_) }
               sort keys %{ $s->db($c) };

    # so that a reader has to follow the cursor
    my $count = $o{count} // 10;
    my @some = splice @keys, $cursor < @keys ? $cursor : @keys, $count;
    my $next = @keys > $cursor ? $cursor + $count : 0;

    return list($c, '*', $next, \@some);
}


sub do_keys {
    my ($s, $c, $match) = @_;
    return list($c, '*', grep { glob_match($match, $_) }
                         sort keys %{ $s->db($c) });
}


sub do_exists { exists $_[0]->db($_[1])->{$_[2]} ? ":1\r\n" : ":0\r\n" }
sub do_hlen   { ':' . keys(%{ $_[0]->db($_[1])->{$_[2]} // {} }) . "\r\n" }
sub do_type   { exists $_[0]->db($_[1])->{$_[2]} ? "+hash\r\n" : "+none\r\n" }


sub do_hgetall {
    my ($s, $c, $key) = @_;

    my $hash = $s->db($c)->{$key} // {};
    return list($c, '%', map { ($_, $hash->{$_}) } sort keys %$hash);
}


sub do_hset {
    my ($s, $c, $key, %fields) = @_;

    my $hash = $s->db($c)->{$key} //= {};
    my $new = grep { !exists $hash->{$_} } keys %fields;

    @$hash{keys %fields} = values %fields;
    return ":$new\r\n";
}


sub do_hdel {
    my ($s, $c, $key, @fields) = @_;

    my $hash = $s->db($c)->{$key} or return ":0\r\n";
    my $n = grep { defined delete $hash->{$_} } @fields;

    delete $s->db($c)->{$key} unless %$hash;
    return ":$n\r\n";
}


sub do_del {
    my ($s, $c, @keys) = @_;
    return ':' . (grep { delete $s->db($c)->{$_} } @keys) . "\r\n";
}


sub do_flushall { $_[0]{db} = {}; "+OK\r\n" }
sub do_flushdb  { $_[0]{db}{$_[1]{db}} = {}; "+OK\r\n" }


sub do_subscribe    { subscribing(@_[0, 1], 'subscribe', @_[2 .. $#_]) }
sub do_psubscribe   { subscribing(@_[0, 1], 'psubscribe', @_[2 .. $#_]) }
sub do_unsubscribe  { subscribing(@_[0, 1], 'unsubscribe', @_[2 .. $#_]) }
sub do_punsubscribe { subscribing(@_[0, 1], 'punsubscribe', @_[2 .. $#_]) }


sub subscribing {
    my ($s, $c, $what, @names) = @_;

    my $set = $what =~ /^p/ ? 'patterns' : 'subs';
    my $out = '';

    @names = sort keys %{ $c->{$set} } if !@names && $what =~ /un/;
    @names = (undef) unless @names;

    for my $name (@names) {
        if ($what =~ /un/) {
            delete $c->{$set}{$name} if defined $name;
        } else {
            $c->{$set}{$name} = 1;
        }

        my $n = keys(%{ $c->{subs} }) + keys %{ $c->{patterns} };
        $out .= list($c, '>', $what, $name, \$n);
    }

    return $out;
}


sub do_publish {
    my ($s, $c, $channel, $text) = @_;

    my $n = 0;

    my @all = values %{ $s->{conns} };

    for my $to (@all) {
        my @heard = (
            ($to->{subs}{$channel} ? [message => $channel, $text] : ()),
            map { [pmessage => $_, $channel, $text] }
            grep { glob_match($_, $channel) } sort keys %{ $to->{patterns} },
        );

        $n += @heard;
        next if $s->{set}{deaf};

        # its own message comes to a publisher before its answer
        $s->write($to, list($to, '>', @$_)) for @heard;
    }

    return ":$n\r\n";
}


1;
