package Mesh::Bolt;

# Bolt frames for the tests: built from and taken apart into plain Perl data,
# shaped like Mesh::Dubbo, so that clients and peers can speak either.
#
# Which form a frame has: proto => 1 or 2; in 2 also ver1 => 1 or 2 and
# switch, whose bit 0 puts a CRC behind the content where ver1 is 2.
# Values are those of Mesh::Dubbo; a content that is no Hessian is bare bytes.
# Ids are signed 32-bit numbers, as in Java.

use strict;
use warnings;

use Compress::Zlib ();
use Exporter qw(import);

use Mesh::Dubbo;

our @EXPORT_OK = qw(frame request response heartbeat ack parse map_bytes);

use constant {
    RESPONSE  => 0,
    REQUEST   => 1,
    ONEWAY    => 2,

    HEARTBEAT => 0,
    CALL      => 1,
    ANSWER    => 2,
    GOAWAY    => 100,

    HESSIAN   => 1,

    SOFA_REQUEST  => 'com.alipay.sofa.rpc.core.request.SofaRequest',
    SOFA_RESPONSE => 'com.alipay.sofa.rpc.core.response.SofaResponse',
};

my $next_id = 1;


###############################################################################
# frames


# frame(type, cmdcode, ver2, id, codec, switch, timeout or status, class,
#       header, content): bytes as they are; class_length, header_length and
# content_length may disagree with them, crc with the sum

sub frame {
    my (%o) = @_;

    my ($proto, $ver1) = form(%o);
    my $type = $o{type} // REQUEST;
    my $switch = $o{switch} // ($proto == 2 && $ver1 == 2 ? 1 : 0);
    my ($class, $header, $content) = map { $o{$_} // '' }
                                     qw(class header content);

    my $bytes = pack 'C', $proto;

    $bytes .= pack 'C', $ver1 if $proto == 2;
    $bytes .= pack 'CnCl>C', $type, $o{cmdcode} // CALL, $o{ver2} // 1,
                   $o{id} // 0, $o{codec} // HESSIAN;
    $bytes .= pack 'C', $switch if $proto == 2;
    $bytes .= $type == RESPONSE ? pack 'n', $o{status} // 0
                                : pack 'l>', $o{timeout} // 3000;
    $bytes .= pack 'nnN', $o{class_length} // length $class,
                   $o{header_length} // length $header,
                   $o{content_length} // length $content;
    $bytes .= $class . $header . $content;

    if ($proto == 2 && $ver1 == 2 && $switch & 1) {
        $bytes .= pack 'N', $o{crc} // Compress::Zlib::crc32($bytes);
    }

    return $bytes;
}


sub form {
    my (%o) = @_;
    return ($o{proto} // 1, $o{ver1} // 1);
}


# what an answer takes over from the frame it answers

sub like {
    my ($f) = @_;
    return map { $_ => $f->{$_} } qw(proto ver1 ver2 id codec switch);
}


# the header map: a hash (sorted) or a list of pairs; undef as a value is null

sub map_bytes {
    my ($map) = @_;

    my @list = ref $map eq 'HASH' ? map { ($_, $map->{$_}) } sort keys %$map
                                  : @$map;

    return join '', map { defined ? pack('N/a*', $_) : pack 'l>', -1 } @list;
}


# request(id, service, version, method, args, timeout_ms, codec, oneway,
#         attachments, headers, class, content, dialect)
#
# The service's unique name is service:version, "1.0" unless given, or the
# service when it has a colon.  Headers are those of SOFARPC and the
# attachments; headers => {} or [] replaces them all.  dialect => 'A' makes
# the content one of sofa-hessian 4.

sub request {
    my (%o) = @_;

    my $name = unique_name(%o);
    my $method = $o{method} // 'sayHello';
    my $codec = $o{codec} // HESSIAN;
    my @args = @{ $o{args} // [] };

    my $content = $o{content}
                  // ($codec != HESSIAN ? join '', map { $_ // '' } @args
                      : request_body($o{dialect} // 'B', $name, $method,
                                     @args));

    my $headers = $o{headers} // {
        service => $name, sofa_head_target_service => $name,
        sofa_head_method_name => $method, app => 'test', protocol => 'bolt',
        type => $o{oneway} ? 'oneway' : 'sync',
        'rpc_trace_context.sofaTraceId' => 'c0a80001',
        'rpc_trace_context.sofaPenAttrs' => '',
        %{ $o{attachments} // {} },
    };

    return frame(%o, type => $o{oneway} ? ONEWAY : REQUEST, cmdcode => CALL,
                 id => $o{id} // $next_id++, codec => $codec,
                 timeout => $o{timeout_ms} // ($o{oneway} ? -1 : 3000),
                 class => $o{class} // SOFA_REQUEST,
                 header => $o{header} // map_bytes($headers),
                 content => $content);
}


sub unique_name {
    my (%o) = @_;

    return $o{service} if $o{service} =~ /:/;
    return $o{service} . ':' . ($o{version} // '1.0');
}


sub request_body {
    my ($dialect, $name, $method, @args) = @_;

    my @sigs = map { java_class($_) } @args;

    return object($dialect, [ SOFA_REQUEST, 0 ], targetAppName => undef,
                  methodName => $method, targetServiceUniqueName => $name,
                  requestProps => undef,
                  methodArgSigs => \ typed_list($dialect, @sigs))
           . join '', map { value($dialect, $_) } @args;
}


sub java_class {
    my %class = ('' => 'java.lang.String', SCALAR => 'int', REF => 'int',
                 HASH => 'java.util.Map', ARRAY => 'java.util.List');

    return $class{ref $_[0]};
}


# response(id, status, value, exception, error, cmdcode, codec, attachments,
#          headers, class, content)
#
# With status 0 a SofaResponse with the value, the exception's or the error's
# text; with another status nothing behind the header.

sub response {
    my (%o) = @_;

    my $status = $o{status} // 0;
    my %more;

    unless ($status) {
        my $failed = defined $o{error} || defined $o{exception};
        my $headers = $o{headers} // {
            ($failed ? (sofa_head_response_error => 'true') : ()),
            %{ $o{attachments} // {} },
        };

        %more = (class => SOFA_RESPONSE, header => map_bytes($headers),
                 content => response_body(%o));
    }

    return frame(%more, %o, type => RESPONSE, status => $status,
                 cmdcode => $o{cmdcode} // ANSWER);
}


sub response_body {
    my (%o) = @_;

    return $o{error} // $o{exception} // $o{value} // ''
        if ($o{codec} // HESSIAN) != HESSIAN;

    my $dialect = $o{dialect} // 'B';
    my $app = $o{value};

    if (defined $o{exception}) {
        $app = \ object($dialect, [ 'java.lang.RuntimeException', 1 ],
                        detailMessage => $o{exception});
    }

    return object($dialect, [ SOFA_RESPONSE, 0 ],
                  isError => \ (defined $o{error} ? 'T' : 'F'),
                  errorMsg => $o{error}, appResponse => $app,
                  responseProps => undef);
}


# an answer to a frame, as a provider of its kind gives it

sub reply {
    my ($f, %o) = @_;
    return response(like($f), dialect => $f->{dialect}, %o);
}


sub heartbeat {
    my (%o) = @_;

    return frame(switch => 0, %o, type => REQUEST, cmdcode => HEARTBEAT,
                 id => $o{id} // $next_id++, timeout => -1);
}


sub ack {
    my (%o) = @_;

    return frame(switch => 0, %o, type => RESPONSE, cmdcode => HEARTBEAT,
                 status => 0);
}


sub acknowledge {
    my ($f) = @_;
    return ack(like($f));
}


# what MOSN's providers send when they leave; Java's know no such thing

sub readonly {
    my (%o) = @_;

    return frame(switch => 0, %o, type => REQUEST, cmdcode => GOAWAY,
                 timeout => 0);
}


sub id_of {
    my ($bytes) = @_;
    return unpack ord($bytes) == 2 ? 'x6l>' : 'x5l>', $bytes;
}


# parse(bytes) returns a reference to the complete frames and, in list context,
# what is left.
# A frame: raw kind proto ver1 variant type cmdcode ver2 id codec switch
# class header headers content, timeout or status, crc and crc_ok where there
# is one, and by kind
#   request, oneway      service version method args attachments (the headers)
#   response             value exception error
#   heartbeat ack readonly
#   garbage              no frame: all that is left is its raw
# and "damaged" with the reason where the content cannot be read.

sub parse {
    my ($bytes) = @_;

    my @frames;
    my $at = 0;

    while (length($bytes) - $at >= 2) {
        my $f = open_frame(substr $bytes, $at) // last;

        push @frames, $f;
        $at += length $f->{raw};
    }

    return wantarray ? (\@frames, substr $bytes, $at) : \@frames;
}


sub open_frame {
    my ($bytes) = @_;

    my ($proto, $ver1) = unpack 'CC', $bytes;
    my $type = $proto == 1 ? $ver1 : unpack 'x2C', $bytes . "\0\0\0";

    return { kind => 'garbage', raw => $bytes }
        if ($proto != 1 && $proto != 2) || $type > 2;

    my $n = ($type == RESPONSE ? 20 : 22) + ($proto == 2 ? 2 : 0);
    return if length $bytes < $n;

    my $f = { proto => $proto };
    my $rest = substr $bytes, 1, $n - 1;

    $f->{ver1} = $proto == 2 ? unpack('C', substr $rest, 0, 1, '') : 1;
    @$f{qw(type cmdcode ver2 id codec)} = unpack 'CnCl>C', $rest;
    substr $rest, 0, 9, '';
    $f->{switch} = $proto == 2 ? unpack('C', substr $rest, 0, 1, '') : 0;

    $type == RESPONSE ? $f->{status} = unpack 'n', substr $rest, 0, 2, ''
                      : ($f->{timeout} = unpack 'l>', substr $rest, 0, 4, '');

    my @length = unpack 'nnN', $rest;
    my $whole = $n + $length[0] + $length[1] + $length[2];
    my $crc = $proto == 2 && $f->{ver1} == 2 && $f->{switch} & 1;

    return if length $bytes < $whole + ($crc ? 4 : 0);

    @$f{qw(class header content)} =
        unpack "x$n a$length[0] a$length[1] a$length[2]", $bytes;
    $f->{raw} = substr $bytes, 0, $whole + ($crc ? 4 : 0);
    $f->{variant} = $proto == 1 ? '1' : "2.$f->{ver1}";
    $f->{ser} = $f->{codec};

    if ($crc) {
        $f->{crc} = unpack 'N', substr $bytes, $whole, 4;
        $f->{crc_ok} = $f->{crc} == Compress::Zlib::crc32(substr $bytes, 0,
                                                          $whole) ? 1 : 0;
    }

    $f->{kind} = kind($f);

    # what Perl warns of is what was damaged
    local $SIG{__WARN__} = sub { die $_[0] };

    eval { open_body($f); 1 } or $f->{damaged} = $@ =~ s/ at \S+ line .*//sr;

    return $f;
}


sub kind {
    my ($f) = @_;

    if ($f->{type} == RESPONSE) {
        return $f->{cmdcode} == HEARTBEAT ? 'ack' : 'response';
    }

    return 'oneway' if $f->{type} == ONEWAY;
    return $f->{cmdcode} == HEARTBEAT ? 'heartbeat'
         : $f->{cmdcode} == GOAWAY ? 'readonly' : 'request';
}


sub open_body {
    my ($f) = @_;

    my $rest = $f->{header};
    my @list;

    while (length $rest) {
        my $length = unpack 'l>', take(\$rest, 4);
        push @list, $length < 0 ? undef : take(\$rest, $length);
    }

    die "a key without a value\n" if @list % 2;

    $f->{headers} = {};

    while (my ($key, $value) = splice @list, 0, 2) {
        $f->{headers}{$key} = $value if defined $key && defined $value;
    }

    return open_request($f) if $f->{kind} =~ /^(?:request|oneway)$/;
    return open_response($f) if $f->{kind} eq 'response';
}


sub open_request {
    my ($f) = @_;

    my $h = $f->{attachments} = $f->{headers};
    my $name = $h->{service} // $h->{sofa_head_target_service};

    $f->{method} = $h->{sofa_head_method_name};
    $f->{args} = [];

    if ($f->{codec} == HESSIAN && length $f->{content}) {
        my $rest = $f->{content};
        my $state = {};

        $f->{dialect} = ord($rest) == 0x43 ? 'A' : 'B';

        my $request = unvalue($f->{dialect}, \$rest, $state);

        $name //= $request->{targetServiceUniqueName};
        $f->{method} //= $request->{methodName};

        push @{ $f->{args} }, unvalue($f->{dialect}, \$rest, $state)
            while length $rest;

    } else {
        $f->{args}[0] = $f->{content};
    }

    ($f->{service}, $f->{version}) = split /:/, $name // '', 2;
}


sub open_response {
    my ($f) = @_;

    my $failed = $f->{headers}{sofa_head_response_error} // '';

    if ($f->{codec} != HESSIAN) {
        $f->{$failed eq 'true' ? 'exception' : 'value'} = $f->{content};
        return;
    }

    return unless length $f->{content};

    my $rest = $f->{content};
    my $response = unvalue(ord($rest) == 0x43 ? 'A' : 'B', \$rest, {});

    die length($rest) . " bytes left over\n" if length $rest;
    die "no SofaResponse\n" unless ref $response
                                   && exists $response->{isError};

    if ($response->{isError}) {
        $f->{error} = $response->{errorMsg} // '';

    } elsif ($failed eq 'true') {
        my $app = $response->{appResponse};
        $f->{exception} = ref $app eq 'HASH' ? $app->{detailMessage} : $app;

    } else {
        $f->{value} = $response->{appResponse};
    }
}


sub take { goto &Mesh::Dubbo::take }


###############################################################################
# Hessian: dialect A is Dubbo's, B that of sofa-hessian 3


# a class definition, the n-th of its stream, and an object of it; a reference
# to a string is bytes of Hessian already

sub object {
    my ($dialect, $which, @fields) = @_;

    my ($class, $index) = @$which;
    my (@names, @values);

    while (my ($name, $value) = splice @fields, 0, 2) {
        push @names, $name;
        push @values, ref $value eq 'SCALAR' || ref $value eq 'REF'
                      ? $$value : value($dialect, $value);
    }

    my $n = Mesh::Dubbo::hessian_int(scalar @names);
    my $fields = join '', map { value($dialect, $_) } @names;

    return 'C' . value('A', $class) . $n . $fields . pack('C', 0x60 + $index)
           . join '', @values
        if $dialect eq 'A';

    return 'O' . Mesh::Dubbo::hessian_int(length $class) . $class . $n
           . $fields . 'o' . Mesh::Dubbo::hessian_int($index)
           . join '', @values;
}


sub typed_list {
    my ($dialect, @strings) = @_;

    my $values = join '', map { value($dialect, $_) } @strings;

    return 'V' . value('A', '[string') . Mesh::Dubbo::hessian_int(0 + @strings)
           . $values if $dialect eq 'A';

    return 'Vt' . pack('n/a*', '[string') . 'n' . pack('C', scalar @strings)
           . $values . 'z';
}


sub value {
    my ($dialect, $value) = @_;

    return Mesh::Dubbo::hessian($value) if $dialect eq 'A';
    return 'N' unless defined $value;

    if (ref $value eq 'HASH') {
        return join '', 'M', (map { value('B', $_), value('B', $value->{$_}) }
                              sort keys %$value), 'z';
    }

    if (ref $value eq 'ARRAY') {
        return join '', 'Vl', pack('N', scalar @$value),
                    (map { value('B', $_) } @$value), 'z';
    }

    return Mesh::Dubbo::hessian_int($$value) if ref $value;

    my $units = Mesh::Dubbo::no_surrogates($value);
    my $out = '';

    while (length $units > 0x8000) {
        $out .= pack('an', 's', 0x8000)
                . Mesh::Dubbo::bytes_of_units(substr $units, 0, 0x8000, '');
    }

    my $n = length $units;

    return $out . ($n < 32 ? pack 'C', $n : pack 'an', 'S', $n)
           . Mesh::Dubbo::bytes_of_units($units);
}


# unvalue(dialect, \bytes, state) takes one value off the bytes; state has the
# classes and types met so far

sub unvalue {
    my ($dialect, $in, $state) = @_;

    return Mesh::Dubbo::unhessian($in, $state) if $dialect eq 'A';

    local $state->{depth} = ($state->{depth} // 0) + 1;
    die "too deep\n" if $state->{depth} > 100;

    my $next = sub { unvalue('B', $in, $state) };
    my $tag = substr $$in, 0, 1;

    return unvalue_string($in) if $tag =~ /^[\x00-\x1fsS]$/;

    # numbers, booleans, null and short binaries are the same in both
    return Mesh::Dubbo::unhessian($in, {})
        if $tag =~ /^[NTFIL\x80-\xff\x38-\x3f\x20-\x2fBD]$/;

    take($in, 1);

    if ($tag eq 'O') {
        my $class = { name => take($in, $next->()), fields => [] };
        push @{ $class->{fields} }, $next->() for 1 .. $next->();
        push @{ $state->{classes} }, $class;
        return $next->();
    }

    if ($tag eq 'o') {
        my $class = $state->{classes}[$next->()] // die "no such class\n";
        return { map { $_ => $next->() } @{ $class->{fields} } };
    }

    if ($tag eq 'M' || $tag eq 'V') {
        untype($in, $state);
        my @list;
        push @list, $next->() until substr($$in, 0, 1) eq 'z';
        take($in, 1);
        return $tag eq 'V' ? \@list
                           : { map { $_ // '' } @list, @list % 2 ? '' : () };
    }

    if ($tag eq 'v') {
        $next->();
        my $n = $next->();
        die "truncated\n" if $n > length $$in;
        return [ map { $next->() } 1 .. $n ];
    }

    my %reference = (J => 'C', K => 'n', R => 'N');

    if (my $how = $reference{$tag}) {
        return { ref => unpack $how, take($in, length pack $how, 0) };
    }

    return unpack 'q>', take($in, 8) if $tag eq 'd';
    return unpack 'l>', take($in, 4) if $tag eq 'w';
    return unpack 'c', take($in, 1) if $tag eq 'i';
    return unpack 's>', take($in, 2) if $tag eq 'j';
    return unpack 'f>', take($in, 4) if $tag eq 'k';
    return ord($tag) - 0x67 if $tag eq 'g' || $tag eq 'h';

    die sprintf "unknown tag %02x\n", ord $tag;
}


# an optional type, and for lists an optional length

sub untype {
    my ($in, $state) = @_;

    take($in, 1), take($in, unpack 'n', take($in, 2)) if $$in =~ /^t/;
    take($in, 1), unvalue('B', $in, $state) if $$in =~ /^u/;
    take($in, 2) if $$in =~ /^n/;
    take($in, 5) if $$in =~ /^l/;
}


sub unvalue_string {
    my ($in) = @_;

    my $text = '';

    for ( ;; ) {
        my $tag = take($in, 1);
        my $n = $tag =~ /[sS]/ ? unpack 'n', take($in, 2) : ord $tag;

        if (substr($$in, 0, $n) !~ /[^\x00-\x7f]/) {
            $text .= take($in, $n);
        } else {
            $text .= Mesh::Dubbo::take_unit($in) for 1 .. $n;
        }

        return Mesh::Dubbo::joined($text) if $tag ne 's';
    }
}


1;
